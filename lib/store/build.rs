//! Migrations are compiled in, so a new migration file must trigger a new build. Statements and functions are assembled
//! from the parts that they share, so the text that is sent is known when the program is built.

#[path = "build/expand.rs"]
mod expand;

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    for folder in ["migrations", "sql", "functions", "build"] {
        println!("cargo:rerun-if-changed={folder}");
    }
    let out = env::var("OUT_DIR")?;
    for folder in ["sql", "sql/violations", "functions"] {
        let target = Path::new(&out).join(folder);
        fs::create_dir_all(&target)?;
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if let Some(name) =
                path.file_name().filter(|_| path.extension().is_some_and(|extension| extension == "sql"))
            {
                let text = expand::expand(&fs::read_to_string(&path)?, Path::new("sql/parts"));
                fs::write(target.join(name), text.map_err(|error| format!("{}: {error}", path.display()))?)?;
            }
        }
    }
    Ok(())
}
