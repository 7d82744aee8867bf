mod decide;
mod progress;
mod retry;
mod scope;
mod script;
#[cfg(test)]
mod trial;
mod verdict;
mod walk;
