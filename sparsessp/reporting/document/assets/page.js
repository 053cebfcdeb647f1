"use strict";
// Sort a table by a column: words as words, numbers as numbers, missing ones last.
const value = (row, column) => {
  const cell = row.cells[column];
  if (cell.dataset.value) return Number(cell.dataset.value);
  return cell.dataset.value === undefined ? (cell.firstChild?.textContent || cell.textContent).trim() : "";
};
const compare = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
const missing = (x) => x === "–" || x === "";
for (const table of document.querySelectorAll("main table")) {
  if (!(table.tBodies[0]?.rows.length >= 3) || !table.tHead.rows[0].cells[1]?.textContent.trim()) continue;
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows].map((row) => [value(row, column), row]);
      rows.sort(([a], [b]) => missing(a) - missing(b) || (down ? -1 : 1) * compare(a, b));
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  });
}
const theme = document.getElementById("theme");
theme.hidden = false;
theme.addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
if (matchMedia("(max-width: 60rem)").matches) document.querySelector("nav details").open = false;
