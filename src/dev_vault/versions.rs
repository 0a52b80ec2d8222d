//! One object's versions, whatever its kind.

/// What has a version.
pub(super) trait Versioned: Clone {
    fn id(&self) -> &str;
}

/// The versions of one object, oldest first.
#[derive(Debug, Clone)]
pub(super) struct Named<V> {
    /// As it was first spelt; look-ups ignore the case.
    pub(super) name: String,
    versions: Vec<V>,
}

/// Look-ups ignore the case of a name.
pub(super) fn key(name: &str) -> String {
    name.to_ascii_lowercase()
}

impl<V: Versioned> Named<V> {
    /// Without a version yet.
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            versions: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, version: V) {
        self.versions.push(version);
    }

    /// One version with the name, the latest if `version` is `None`.
    pub(super) fn get(&self, version: Option<&str>) -> Option<(String, V)> {
        let found = self.versions.get(self.index(version)?)?;
        Some((self.name.clone(), found.clone()))
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, version: Option<&str>) -> Option<&mut V> {
        let index = self.index(version)?;
        self.versions.get_mut(index)
    }

    /// Every version with the name, by id as the service lists them.
    pub(super) fn versions(&self) -> Vec<(String, V)> {
        let mut versions: Vec<_> = self.versions.iter().collect();
        versions.sort_unstable_by(|a, b| a.id().cmp(b.id()));
        let with_name = |version: &V| (self.name.clone(), version.clone());
        versions.into_iter().map(with_name).collect()
    }

    /// Where a version is in the list, the latest if `version` is `None`.
    fn index(&self, version: Option<&str>) -> Option<usize> {
        let Some(version) = version else {
            return self.versions.len().checked_sub(1);
        };
        let mut versions = self.versions.iter();
        versions.position(|known| known.id().eq_ignore_ascii_case(version))
    }
}
