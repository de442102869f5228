/* The preview of a form. The site draws it: this script only asks again. And it puts the focus into the first wrong
   field. The form works without it, too. */

const form = document.querySelector(".desk form"), preview = document.querySelector(".preview"), palette = document.querySelector(".palette");
let last = new AbortController();

async function draw() {
  last.abort();
  last = new AbortController();
  const { nombre, material, ancho, altura } = Object.fromEntries(new FormData(form));
  for (const sample of palette.children) sample.setAttribute("aria-pressed", sample.value === material);
  const values = new URLSearchParams({ nombre, material, ancho, altura });
  try {
    const answer = await fetch(`${preview.dataset.from}?${values}`, { signal: last.signal });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (answer.ok) preview.replaceChildren(page.querySelector("svg"));
  } catch {
    // A newer drawing is on its way, or the page is left: the old drawing stays.
  }
}

palette.addEventListener("click", ({ target }) => {
  const sample = target.closest("button");
  if (!sample) return;
  form.elements.material.value = sample.value;
  draw();
});
form.addEventListener("input", draw);
palette.hidden = false;
form.querySelector("[aria-invalid=true]")?.focus();
draw();
