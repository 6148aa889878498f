'use strict';
// Sorts a table by the column whose title is clicked: numbers the greatest first.
for (const head of document.querySelectorAll('.wide thead th')) {
  const column = head.cellIndex, body = head.closest('table').tBodies[0];
  const value = (row) => { const c = row.cells[column]; return c.dataset.v === undefined ? c.textContent : Number(c.dataset.v); };
  const order = (a, b) => {
    const x = value(a), y = value(b);
    if (typeof x === 'number' && typeof y === 'number') return x - y;
    if (typeof x !== typeof y) return typeof x === 'number' ? 1 : -1;
    return x.localeCompare(y);
  };
  const sort = () => {
    const numbers = body.querySelector('tr td:nth-child(' + (column + 1) + ')[data-v]') !== null;
    const was = head.getAttribute('aria-sort');
    const up = was === null ? !numbers : was === 'descending';
    for (const other of head.parentNode.cells) other.removeAttribute('aria-sort');
    head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
    body.append(...[...body.rows].sort((a, b) => up ? order(a, b) : order(b, a)));
  };
  head.dataset.sortable = '';
  head.tabIndex = 0;
  head.addEventListener('click', sort);
  head.addEventListener('keydown', (e) => { if (e.key === 'Enter' || e.key === ' ') { e.preventDefault(); sort(); } });
}
