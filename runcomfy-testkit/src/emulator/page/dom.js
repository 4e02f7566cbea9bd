// Creates and updates elements. Text is inserted as text nodes only, never as HTML.

export const byId = (id) => document.getElementById(id);
export const list = (value) => (Array.isArray(value) ? value : []);

/** Creates an element with classes and children; missing children are skipped. */
export function el(tag, classes, ...children) {
  const node = document.createElement(tag);
  if (classes) node.className = classes;
  node.append(...children.flat().filter((child) => child || child === 0));
  return node;
}

export function set(node, properties) {
  return Object.assign(node, properties);
}

export function text(id, value) {
  const node = byId(id);
  if (node.textContent !== value) node.textContent = value;
}

/** Makes the children of `parent` those of `items`. What did not change is not touched, so that pictures
    stay, sounds play on and screen readers are left in peace. */
export function keep(parent, items, keyOf, make) {
  const wanted = new Set(items.map(keyOf));
  const old = new Map();
  for (const node of [...parent.children]) {
    if (wanted.has(node.dataset.key) && !old.has(node.dataset.key)) old.set(node.dataset.key, node);
    else node.remove();
  }
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const print = JSON.stringify(item);
    let node = old.get(key);
    let focused = false;
    old.delete(key);
    if (node?.print !== print) {
      const fresh = set(make(item), { print });
      fresh.dataset.key = key;
      if (node === place && node) place = node.nextElementSibling;
      focused = node && node === document.activeElement;
      node?.remove();
      node = fresh;
    }
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
    if (focused) node.focus();
  }
}
