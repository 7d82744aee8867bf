use super::automations::stored_json;
use super::{Scene, Verdict};
use crate::output::clean;

/// Shows the organisation that scopes can name units of.
pub(crate) async fn perform(scene: &Scene) -> anyhow::Result<Verdict> {
    let app = scene.open().await?;
    match app.store.organization().await? {
        Some(stored) => {
            scene.output.object(&stored_json("organization", &stored))?;
            scene.output.text(clean(stored.text.trim_end()))?;
        }
        None => scene
            .output
            .text("no organisation; put one in with `quench apply FILE`")?,
    }
    Ok(Verdict::Good)
}
