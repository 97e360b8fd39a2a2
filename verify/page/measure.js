// What is measured inside the page. Evaluated by browser.cjs; the page itself has no script.

/** Elements that make the page scroll sideways. */
function overflow() {
  const root = document.documentElement;
  const limit = root.clientWidth;
  const found = [];
  if (root.scrollWidth > limit) found.push(`the page is ${root.scrollWidth} px wide`);
  for (const element of document.querySelectorAll("body *")) {
    if (element.closest(".frame") && !element.matches(".frame")) continue;
    if (element.closest("svg") && element.localName !== "svg" && element.localName !== "text") continue;
    const box = element.getBoundingClientRect();
    if (box.width > 0 && (box.right > limit + 0.5 || box.left < -0.5)) {
      found.push(`${element.localName}.${element.getAttribute("class")} from ${box.left} to ${box.right}: ${element.textContent.slice(0, 40)}`);
    }
  }
  return found;
}

function colour(text) {
  const parts = text.match(/[\d.]+/g)?.map(Number);
  return parts && text.startsWith("rgb") ? { rgb: parts.slice(0, 3), alpha: parts[3] ?? 1 } : null;
}

/** WCAG 2.2's relative luminance and contrast ratio. */
function luminance(rgb) {
  const [r, g, b] = rgb.map((value) => value / 255).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function ratio(one, other) {
  const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
}

function ground(element) {
  for (let at = element; at; at = at.parentElement) {
    const found = colour(getComputedStyle(at).backgroundColor);
    if (found && found.alpha === 1) return found.rgb;
  }
  return [255, 255, 255];
}

/** Every text against its ground (at least 4.5), every stroke or shape that carries meaning against its own (at least 3). */
function contrasts() {
  const faint = [];
  let least = Infinity;
  let count = 0;
  for (const element of document.querySelectorAll("body *")) {
    const style = getComputedStyle(element);
    const svg = element.closest("svg");
    const says = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (says && !["title", "desc"].includes(element.localName) && element.getClientRects().length) {
      const found = colour(svg ? style.fill : style.color);
      const value = ratio(found.rgb, ground(svg ?? element));
      count += 1;
      least = Math.min(least, value);
      if (value < 4.5) faint.push(`${value.toFixed(2)} ${element.localName}.${element.className}: ${element.textContent.slice(0, 40)}`);
    }
    if (svg && element.matches("path.window, path.reference, .axis, .target, line.rate, circle.rate, rect.drifted, rect.calm, path.within, path.outside, .sign > *")) {
      const drawn = colour(style.stroke !== "none" ? style.stroke : style.fill);
      const value = ratio(drawn.rgb, ground(svg));
      count += 1;
      if (value < 3) faint.push(`${value.toFixed(2)} ${element.localName}.${element.getAttribute("class")}`);
    }
  }
  // The two lines of a histogram are told apart in grey, too, where one crosses the other's area.
  const [area, line] = [document.querySelector(".plot path.reference"), document.querySelector(".plot path.window")];
  if (area && line) {
    const value = ratio(colour(getComputedStyle(area).fill).rgb, colour(getComputedStyle(line).stroke).rgb);
    if (value < 3) faint.push(`${value.toFixed(2)} window over reference`);
  }
  return { least, count, faint };
}

/** Anything that could act, load or lead away. */
function active() {
  const found = [];
  const allowed = new Set(["html", "head", "meta", "title", "style", "body", "header", "main", "footer", "section", "nav", "ul", "li", "a", "p", "h1", "h2",
    "h3", "div", "span", "strong", "b", "small", "code", "pre", "bdi", "abbr", "time", "dl", "dt", "dd", "table", "thead", "tbody", "tr", "th", "td",
    "figure", "figcaption", "details", "summary", "svg", "g", "path", "rect", "line", "circle", "text", "desc", "wbr"]);
  for (const element of document.querySelectorAll("*")) {
    if (!allowed.has(element.localName)) found.push(`element ${element.localName}`);
    for (const { name, value } of element.attributes) {
      if (/^on|^style$|^src|^srcset$|^formaction$|^xlink/.test(name)) found.push(`${element.localName} ${name}=${value}`);
      if (name === "href" && !value.startsWith("#")) found.push(`link ${value}`);
    }
  }
  if (document.querySelectorAll("style").length !== 1) found.push("another style");
  if (document.scripts.length) found.push("a script");
  const policy = document.querySelector('meta[http-equiv="Content-Security-Policy"]')?.content ?? "";
  if (!policy.startsWith("default-src 'none'; style-src 'sha256-") || policy.includes("unsafe")) found.push(`policy ${policy}`);
  for (const link of document.querySelectorAll("a")) {
    if (!document.getElementById(decodeURIComponent(link.hash.slice(1)))) found.push(`link to nowhere ${link.hash}`);
  }
  return found;
}

/** Headings that skip a level, missing landmarks, tables without headers, plots without words. */
function headings() {
  const found = [];
  let level = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3, h4")) {
    const next = Number(heading.localName[1]);
    if (next > level + 1) found.push(`${heading.localName} after h${level}: ${heading.textContent}`);
    level = next;
  }
  if (document.querySelectorAll("h1").length !== 1) found.push("not one h1");
  for (const landmark of ["header", "main", "nav", "footer"]) if (!document.querySelector(landmark)) found.push(`no ${landmark}`);
  for (const table of document.querySelectorAll("table")) {
    const heads = table.querySelectorAll("thead th[scope=col]").length;
    for (const row of table.tBodies[0]?.rows ?? []) {
      if (row.cells.length !== heads || row.querySelectorAll("th[scope=row]").length !== 1) found.push(`row ${row.textContent.slice(0, 40)}`);
    }
  }
  for (const plot of document.querySelectorAll("svg[role=img]")) {
    if (!plot.querySelector("title")?.textContent || !plot.querySelector("desc")?.textContent) found.push("a plot without words");
  }
  for (const figure of document.querySelectorAll("figure.plot:has(svg.histogram)")) {
    if (!figure.querySelector("details table")) found.push("a plot without a table");
  }
  return found;
}
