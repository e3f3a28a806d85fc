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
    fs::write(Path::new(&out).join("migrations.rs"), migrations()?)?;
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

/// The migrations as a list of names and texts, in order.
fn migrations() -> Result<String, Box<dyn Error>> {
    let mut names = Vec::new();
    for entry in fs::read_dir("migrations")? {
        let name = entry?.file_name().into_string().map_err(|name| format!("{} is no UTF-8", name.display()))?;
        names.extend(name.strip_suffix(".sql").map(str::to_owned));
    }
    names.sort();
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("migrations");
    let file = |name: &String| format!("({name:?}, include_str!({:?})),\n", folder.join(format!("{name}.sql")));
    Ok(format!("&[\n{}]", names.iter().map(file).collect::<String>()))
}
