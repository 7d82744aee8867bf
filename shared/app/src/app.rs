use crate::catalog::{Cache, Catalog, CatalogError};
use crate::clock::Clock;
use crate::config::Config;
use crate::queue::Queues;
use crate::store::{Store, StoreError};
use quench_actions::Outside;
use std::path::Path;
use std::sync::Arc;

mod outside;

/// Everything that the functions and the command line work with; cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    /// What the process was told when it started.
    pub config: Arc<Config>,
    /// Definitions, findings and runs.
    pub store: Store,
    /// What is to be done.
    pub queues: Queues,
    /// Where `now` comes from.
    pub clock: Clock,
    /// Name of this process as the holder of runs, unlike that of any other.
    pub worker: Arc<str>,
    outside: Outside,
    catalog: Arc<Cache>,
}

/// Why the application cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data folder cannot be made.
    #[error("the folder `{folder}` cannot be made: {reason}")]
    Folder {
        /// Its path.
        folder: String,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What leads outside is not set up right.
    #[error("{0}")]
    Outside(String),
}

impl App {
    /// Opens the store, making it where there is none, and gets ready to act.
    ///
    /// # Errors
    /// The folder, the store or what leads outside is not as it must be.
    pub async fn open(config: Config) -> Result<App, OpenError> {
        App::open_at(config, Clock::System).await
    }

    /// Opens the store with another clock than the machine's.
    ///
    /// # Errors
    /// As [`App::open`].
    pub async fn open_at(config: Config, clock: Clock) -> Result<App, OpenError> {
        make_folder(&config.data)?;
        let outside = outside::outside(&config)?;
        App::open_with(config, clock, outside).await
    }

    /// Opens the store with another outside world than the configuration describes.
    ///
    /// # Errors
    /// As [`App::open`].
    pub async fn open_with(
        config: Config,
        clock: Clock,
        outside: Outside,
    ) -> Result<App, OpenError> {
        make_folder(&config.data)?;
        let store = Store::open(&config.database()).await?;
        Ok(App {
            queues: Queues::beside(&store, config.max_receives),
            store,
            config: Arc::new(config),
            clock,
            worker: worker().into(),
            outside,
            catalog: Arc::default(),
        })
    }

    /// What is in force now; compiled anew only when it changed.
    ///
    /// # Errors
    /// The store fails.
    pub async fn catalog(&self) -> Result<Arc<Catalog>, CatalogError> {
        self.catalog.get(&self.store).await
    }

    /// The outside world, with the connections that are in force.
    ///
    /// # Errors
    /// The store fails.
    pub async fn outside(&self) -> Result<Outside, CatalogError> {
        let catalog = self.catalog().await?;
        Ok(Outside {
            connections: Arc::clone(&catalog.connections),
            ..self.outside.clone()
        })
    }
}

/// Makes the folder where it is missing, for its owner only: findings are nobody else's business.
fn make_folder(folder: &Path) -> Result<(), OpenError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(folder).map_err(|reason| OpenError::Folder {
        folder: folder.display().to_string(),
        reason,
    })
}

fn worker() -> String {
    let mut random = [0; 8];
    // Without randomness the time still tells processes of one machine apart.
    if getrandom::fill(&mut random).is_err() {
        let now = jiff::Timestamp::now().as_nanosecond().to_be_bytes();
        random.copy_from_slice(&now[8..]);
    }
    let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{random}", std::process::id())
}
