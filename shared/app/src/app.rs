use crate::catalog::{Cache, Catalog, CatalogError};
use crate::clock::Clock;
use crate::config::{Config, Host};
use crate::deadline::Deadline;
use crate::metrics::Metrics;
use crate::queue::Queues;
#[cfg(feature = "local")]
use crate::store::Sqlite;
use crate::store::{Store, StoreError};
use base16ct::lower::encode_string as hex;
use quench_actions::{Outside, Secrets};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

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
    /// What is counted of the invocation that is worked on; on one machine nothing is.
    pub metrics: Metrics,
    /// When that invocation ends.
    pub(crate) deadline: Option<Deadline>,
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
        App::open_from(config, clock, |name| std::env::var(name).ok()).await
    }

    /// Opens the store with variables of AWS (region, endpoints, credentials) from elsewhere than the environment.
    ///
    /// Nothing is called on AWS yet: what is missing there is told by the first call that needs it.
    ///
    /// # Errors
    /// As [`App::open`].
    pub async fn open_from(
        config: Config,
        clock: Clock,
        aws: impl FnMut(&str) -> Option<String>,
    ) -> Result<App, OpenError> {
        let (store, queues, outside) = match &config.host {
            Host::Machine { data } => open_machine(&config, data, aws).await?,
            Host::Aws {
                table,
                queues,
                undelivered,
            } => {
                let (aws, outside) = outside::on_aws(&config, aws)?;
                let store = Store::on_aws(aws.clone(), table, config.retention);
                (
                    store,
                    Queues::sqs(aws, queues, undelivered.as_ref()),
                    outside,
                )
            }
        };
        Ok(App {
            store,
            queues,
            config: Arc::new(config),
            clock,
            worker: worker().into(),
            metrics: Metrics::default(),
            deadline: None,
            outside,
            catalog: Arc::default(),
        })
    }

    /// The application for one invocation of a function: counted on its own, and over when no time is left.
    #[must_use]
    pub fn for_invocation(&self, time_left: Option<Duration>) -> App {
        App {
            metrics: Metrics::counting(),
            deadline: time_left.map(Deadline::after),
            ..self.clone()
        }
    }

    /// What is in force now; compiled anew only when it changed.
    ///
    /// # Errors
    /// The store fails.
    pub async fn catalog(&self) -> Result<Arc<Catalog>, CatalogError> {
        self.catalog.get(&self.store, self.clock.now()).await
    }

    /// Lets the next event find what this process has just put in force.
    pub(crate) async fn refresh_catalog(&self) {
        self.catalog.outdate().await;
    }

    /// Where secret references lead.
    pub fn secrets(&self) -> &Secrets {
        &self.outside.secrets
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

#[cfg(feature = "local")]
async fn open_machine(
    config: &Config,
    data: &Path,
    aws: impl FnMut(&str) -> Option<String>,
) -> Result<(Store, Queues, Outside), OpenError> {
    let outside = outside::on_machine(config, aws)?;
    make_folder(data)?;
    let file = Sqlite::open(&data.join("quench.db")).await?;
    let queues = Queues::beside(&file, config.max_receives);
    Ok((Store::Sqlite(file), queues, outside))
}

#[cfg(not(feature = "local"))]
async fn open_machine(
    _: &Config,
    _: &Path,
    _: impl FnMut(&str) -> Option<String>,
) -> Result<(Store, Queues, Outside), OpenError> {
    Err(OpenError::Outside(
        "this program works on AWS only; set `QUENCH_TABLE`".to_owned(),
    ))
}

#[cfg(feature = "local")]
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
    format!("{}-{}", std::process::id(), hex(&random))
}

#[cfg(test)]
mod tests;
