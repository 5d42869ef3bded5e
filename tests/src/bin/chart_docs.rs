//! `make chart`: writes what is made from the comments of the chart's values.

use anyhow::Result;
use tests::chart_docs;

fn main() -> Result<()> {
    for (path, holds, should) in chart_docs::made()? {
        if holds != should {
            std::fs::write(&path, should)?;
            println!("wrote {}", path.display());
        }
    }
    Ok(())
}
