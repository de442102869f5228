/* Reads words: which form a name means, and which material a word means. Pure: knows no page. */

/** Remember the results of a function of one text: the same names and materials come again and again. */
function remembered(find) {
  const known = new Map();
  return (text) => {
    const key = String(text);
    if (!known.has(key)) {
      if (known.size > 5_000) known.clear();
      known.set(key, find(key));
    }
    return known.get(key);
  };
}

const plain = (text) => String(text).toLowerCase().normalize("NFD").replace(/[\u0300-\u036f]/g, "");

// The first form with a word in the name is the form: the order is from the particular to the general.
export const FORMS = [
  ["bedside", ["mesilla", "mesita", "velador", "tauleta", "nightstand"]],
  ["desk", ["escritorio", "secreter", "pupitre", "escriptori", "desk"]],
  ["table", ["mesa", "taula", "table"]],
  ["stool", ["taburete", "tamboret", "puf", "stool"]],
  ["sofa", ["sofa", "divan", "chaise", "couch"]],
  ["armchair", ["butaca", "sillon", "mecedora", "armchair"]],
  ["chair", ["silla", "cadira", "chair"]],
  ["bench", ["banco", "banqueta", "banc", "bench"]],
  ["shelf", ["estanteria", "libreria", "estante", "balda", "repisa", "prestatgeria", "shelf", "bookcase"]],
  ["wardrobe", ["armario", "ropero", "armari", "wardrobe", "closet"]],
  ["glazed", ["vitrina", "alacena", "display"]],
  ["drawers", ["comoda", "cajonera", "chifonier", "calaixera", "drawers", "dresser"]],
  ["sideboard", ["aparador", "buffet", "consola", "sideboard", "credenza"]],
  ["bed", ["cama", "litera", "cabecero", "llit", "bed"]],
  ["lamp", ["lampara", "flexo", "llum", "lamp"]],
  ["mirror", ["espejo", "mirall", "mirror"]],
  ["rack", ["perchero", "penjador", "rack"]],
];

/** The form that a name means: the first one with a word in the name; else a cabinet. */
export const formOf = remembered((nombre) => {
  const words = plain(nombre).split(/[^a-z]+/);
  for (const [form, stems] of FORMS)
    if (stems.some((stem) => words.some((word) => word === stem || word === `${stem}s` || word === `${stem}es`))) return form;
  return "cabinet";
});

const MATERIALS = {
  roble: ["roble", "roure", "oak"],
  pino: ["pino", "pi", "pine"],
  nogal: ["nogal", "noguera", "walnut"],
  haya: ["haya", "faig", "beech"],
  plastico: ["plastico", "plastic", "polipropileno", "resina"],
  metal: ["metal", "acero", "hierro", "aluminio", "laton", "steel", "iron"],
  cristal: ["cristal", "vidrio", "vidre", "glass"],
  marmol: ["marmol", "marbre", "granito", "piedra", "marble", "stone"],
  tela: ["tela", "lino", "lana", "algodon", "terciopelo", "fabric", "linen", "wool"],
};

/** The key of the material that a text means; an unknown one is `x` and its hue. */
export const materialOf = remembered((material) => {
  const words = plain(material).split(/[^a-z]+/);
  for (const [key, stems] of Object.entries(MATERIALS))
    if (stems.some((stem) => words.includes(stem))) return key;
  return `x${hueOf(material)}`;
});

// Twelve calm hues, without pink and violet. An unknown word has one of them, on every screen the same.
const HUES = [8, 26, 40, 55, 80, 110, 145, 165, 185, 200, 215, 230];

function hueOf(text) {
  let hash = 2166136261;
  for (const unit of plain(text)) hash = Math.imul(hash ^ unit.codePointAt(0), 16777619) >>> 0;
  return HUES[hash % 12];
}
