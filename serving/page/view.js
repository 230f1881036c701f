// What the page shows of answers. Text of people is put in as text nodes, never as markup.

const GROUPS = {
  PERSON_NAME: "person", USERNAME: "person", DEMOGRAPHIC: "person",
  PHONE_NUMBER: "contact", EMAIL_ADDRESS: "contact", WECHAT_ID: "contact", QQ_NUMBER: "contact", URL: "contact",
  NATIONAL_ID_NUMBER: "identity", PASSPORT_NUMBER: "identity", DRIVER_LICENSE_NUMBER: "identity",
  SOCIAL_INSURANCE_NUMBER: "identity", TAX_ID_NUMBER: "identity", MEMBER_ID: "identity", MEDICAL_RECORD_NUMBER: "identity",
  BANK_CARD_NUMBER: "money", BANK_ACCOUNT_NUMBER: "money", PAYMENT_ACCOUNT: "money",
  ADDRESS: "location", LOCATION: "location", ORGANIZATION: "location", GEO_COORDINATE: "location",
  IP_ADDRESS: "device", DEVICE_ID: "device", VEHICLE_PLATE_NUMBER: "device", VEHICLE_ID_NUMBER: "device", CREDENTIAL: "device",
  DATE_OF_BIRTH: "time", DATE_TIME: "time",
};

export const groupOf = (type) => GROUPS[type] ?? "other";

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// A text with marks: parts are {start, end, type} in UTF-16 units, sorted and apart. `label` names a type; null: none.
export function marked(text, parts, label) {
  const nodes = [];
  let copied = 0;
  parts.forEach((part, index) => {
    nodes.push(document.createTextNode(text.slice(copied, part.start)));
    const mark = element("mark", {}, text.slice(part.start, part.end));
    mark.dataset.group = groupOf(part.type);
    mark.dataset.index = index;
    if (label) mark.append(element("span", { className: "kind" }, label(part.type)));
    nodes.push(mark);
    copied = part.end;
  });
  nodes.push(document.createTextNode(text.slice(copied)));
  return nodes;
}

// Several who found the same are joined by "+".
const foundBy = (source, words) => (source ?? "").split("+").map((who) => words[`source_${who}`] ?? who).join(" + ");

export function entityRow(entity, index, words, label) {
  const dot = element("span", { className: "dot" }, label(entity.type));
  dot.dataset.group = groupOf(entity.type);
  const kind = element("td", {}, dot);
  if (entity.subtype) kind.append(element("small", {}, entity.subtype));
  const score = element("td", { className: "number" });
  if (entity.score === undefined) {
    score.append(element("span", { className: "quiet" }, words.unmeasured));
  } else {
    const shown = entity.score.toFixed(2);
    const meter = element("meter", { min: 0, max: 1, low: 0.5, high: 0.8, optimum: 1, value: entity.score });
    meter.setAttribute("aria-hidden", "true");
    score.append(meter, shown);
  }
  const row = element("tr", {}, kind, element("td", { className: "value" }, entity.value), score,
    element("td", {}, foundBy(entity.source, words)),
    element("td", { className: "number" }, `${entity.start}–${entity.end}`));
  row.dataset.index = index;
  return row;
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without HTTPS there is no clipboard, but there is still a selection.
    const field = element("textarea", { value: text, className: "hidden" });
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
}
