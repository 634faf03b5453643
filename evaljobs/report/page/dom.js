// What the other scripts share. Names and labels are text nodes and nothing else: no script here parses HTML.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const find = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
// Said by a screen reader, seen by nobody.
const say = (text) => { find("#said").textContent = text; };

// Make an element with attributes and children; strings become text nodes, attributes of null are left out.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const linkTo = (number) => make("a", { href: `#model-${number}` }, data.models[number].name);
const numberOf = (name) => data.models.findIndex((model) => model.name === name);

function copyButton(exact, what) {
  const attributes = { type: "button", class: "copy", "data-copy": exact, "aria-label": `Copy ${what}: ${exact}` };
  return make("button", attributes, "copy");
}
