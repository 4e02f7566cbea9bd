//! Upstream search for all nodes at once, because a separate search for each node would take quadratic time.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
};

use runcomfy_core::{
    Workflow,
    workflow::{Node, NodeInput},
};

/// The links of a workflow in both directions.
pub(super) struct Links<'a> {
    nodes: Vec<Node<'a>>,
    places: HashMap<&'a str, usize>,
    /// By node index, in the order of inputs.
    sources: Vec<Vec<usize>>,
    users: Vec<Vec<usize>>,
    fingerprints: RefCell<Vec<Option<u64>>>,
}

/// For every node, the value of the nearest upstream node, itself first.
pub(crate) struct Nearest<'a, T> {
    found: Vec<T>,
    by_node: HashMap<&'a str, usize>,
}

impl<T> Nearest<'_, T> {
    pub(crate) fn to(&self, node: Node<'_>) -> Option<&T> {
        self.found.get(*self.by_node.get(node.id())?)
    }
}

impl<'a> Links<'a> {
    pub(super) fn new(workflow: &'a Workflow) -> Self {
        let nodes: Vec<_> = workflow.nodes().collect();
        let places: HashMap<_, _> =
            nodes.iter().enumerate().map(|(place, node)| (node.id(), place)).collect();
        let source = |node: &Node<'a>, name: &str| match node.input(name)? {
            NodeInput::Link { node_id, .. } => places.get(node_id).copied(),
            NodeInput::Value(_) => None,
        };
        let sources: Vec<Vec<_>> = nodes
            .iter()
            .map(|node| node.inputs().keys().filter_map(|name| source(node, name)).collect())
            .collect();
        let mut users = vec![Vec::new(); nodes.len()];
        for (user, sources) in sources.iter().enumerate() {
            for source in sources {
                users[*source].push(user);
            }
        }
        let fingerprints = RefCell::new(vec![None; nodes.len()]);
        Self { nodes, places, sources, users, fingerprints }
    }

    /// Calls `has` once for every node and propagates the values downstream.
    pub(super) fn nearest<T>(&self, has: impl Fn(Node<'a>) -> Option<T>) -> Nearest<'a, T> {
        let mut found = Vec::new();
        let mut known: Vec<Option<(u32, usize)>> = vec![None; self.nodes.len()];
        let mut order = Vec::new();
        for (place, node) in self.nodes.iter().enumerate() {
            if let Some(own) = has(*node) {
                known[place] = Some((0, found.len()));
                found.push(own);
                order.push(place);
            }
        }
        let mut next = 0;
        while let Some(place) = order.get(next).copied() {
            next += 1;
            let Some((distance, _)) = known[place] else { continue };
            for user in &self.users[place] {
                if known[*user].is_none() {
                    // All nearer nodes are known by now. Among equally near ones, the first input wins.
                    let mut sources = self.sources[*user].iter().filter_map(|one| known[*one]);
                    let first = sources.find(|(of, _)| *of == distance);
                    known[*user] = first.map(|(of, which)| (of + 1, which));
                    order.push(*user);
                }
            }
        }
        let by_node = self.nodes.iter().zip(known);
        let by_node = by_node.filter_map(|(node, known)| Some((node.id(), known?.1))).collect();
        Nearest { found, by_node }
    }

    /// A hash of everything upstream of the node.
    pub(super) fn fingerprint(&self, node: Node<'_>) -> u64 {
        let mut known = self.fingerprints.borrow_mut();
        let Some(place) = self.places.get(node.id()).copied() else { return 0 };
        // Iterative, because a chain can be longer than the stack.
        let (mut open, mut stack) = (HashSet::new(), vec![(place, false)]);
        while let Some((place, sources_known)) = stack.pop() {
            if sources_known {
                // A node in a cycle has no hash yet; the other nodes are sufficient.
                let sources = self.sources[place].iter().filter_map(|source| known[*source]);
                let own = own_fingerprint(self.nodes[place]);
                known[place] = Some(sources.fold(own, |hash, of| hash.rotate_left(5) ^ of));
            } else if known[place].is_none() && open.insert(place) {
                stack.push((place, true));
                stack.extend(self.sources[place].iter().map(|source| (*source, false)));
            }
        }
        known[place].unwrap_or_default()
    }
}

fn own_fingerprint(node: Node<'_>) -> u64 {
    let mut hash = crate::ids::hash(node.class_type().as_bytes());
    for (name, value) in node.inputs() {
        hash = hash.rotate_left(5) ^ crate::ids::hash(format!("{name}\0{value}").as_bytes());
    }
    hash
}
