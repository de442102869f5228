/* The preview of a form. The site draws it: this script only asks again. Without it, the form works, too. */

const form = document.querySelector(".desk form"), preview = document.querySelector(".preview"), palette = document.querySelector(".palette");
let last = new AbortController();

async function draw() {
  last.abort();
  last = new AbortController();
  const values = new URLSearchParams(new FormData(form));
  for (const name of ["csrfmiddlewaretoken", "descripcion"]) values.delete(name);
  for (const sample of palette.children) sample.setAttribute("aria-pressed", sample.value === form.elements.material.value);
  const answer = await fetch(`${preview.dataset.from}?${values}`, { signal: last.signal }).catch(() => null);
  if (!answer?.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  preview.replaceChildren(page.querySelector("svg"));
}

palette.addEventListener("click", ({ target }) => {
  const sample = target.closest("button");
  if (!sample) return;
  form.elements.material.value = sample.value;
  draw();
});
form.addEventListener("input", draw);
palette.hidden = false;
draw();
