"use strict";
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const downward = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", downward ? "descending" : "ascending");
      const value = (row) => row.cells[column].dataset.value;
      const order = (one, two) => {
        const [a, b] = [value(one), value(two)];
        if (a === "" || b === "") return (a === "") - (b === "");  // gaps last, both ways round
        const up = isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
        return downward ? -up : up;
      };
      for (const body of table.tBodies) {  // groups stay groups
        const rows = [...body.rows].filter((row) => !row.matches(".group"));
        body.append(...rows.sort(order));
      }
    });
  });
}
