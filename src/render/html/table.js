// The rows of each report: sorted, filtered and paged. What a log holds becomes text, never markup.
"use strict";
(() => {
  const PAGE_SIZES = [50, 200, 1000];
  const BRIEF_CHARACTERS = 160;
  // The only addresses that log content may become.
  const LINK_STARTS = ["https://console.aws.amazon.com/s3/object/", "file:///"];
  const count = (number) => number.toLocaleString("en");

  function element(name, className, text) {
    const made = document.createElement(name);
    if (className) {
      made.className = className;
    }
    if (text !== undefined) {
      made.textContent = text;
    }
    return made;
  }

  function button(text, label, onClick) {
    const made = element("button", "", text);
    made.type = "button";
    made.setAttribute("aria-label", label);
    made.addEventListener("click", onClick);
    return made;
  }

  function sourceCell(cell, text, place) {
    const [title, url] = place;
    cell.title = title;
    if (url !== null && LINK_STARTS.some((start) => url.startsWith(start))) {
      const link = element("a", "", text);
      link.href = url;
      link.rel = "noopener noreferrer external";
      cell.append(link);
    } else {
      cell.textContent = text;
    }
  }

  function tableCell(text, kind, place) {
    const cell = element("td", kind);
    if (text === null) {
      if (kind !== "suppression") {
        const dash = element("span", "null", "–");
        dash.title = "null";
        cell.append(dash);
      }
    } else if (kind === "source") {
      sourceCell(cell, text, place);
    } else if (text.length > BRIEF_CHARACTERS && Array.from(text).length > BRIEF_CHARACTERS) {
      const whole = element("details", "long");
      const brief = Array.from(text).slice(0, BRIEF_CHARACTERS).join("");
      whole.append(element("summary", "", `${brief}…`), text);
      cell.append(whole);
    } else {
      cell.textContent = text;
    }
    return cell;
  }

  // A value that `<` orders as the column's kind asks; null for what stands last.
  function sortKey(text, kind) {
    if (text === null) {
      return null;
    }
    if (kind === "timestamp") {
      // Without its Z a time of whole seconds is less than one with a fraction.
      return text.endsWith("Z") ? text.slice(0, -1) : text;
    }
    if (kind !== "number") {
      return text;
    }
    const number = Number(text.replace("inf", "Infinity"));
    if (Number.isNaN(number)) {
      return null;
    }
    const isLarge = Number.isInteger(number) && !Number.isSafeInteger(number);
    return isLarge && /^-?\d+$/.test(text) ? BigInt(text) : number;
  }

  function sorted(indexes, keys, direction) {
    return indexes.sort((a, b) => {
      const [x, y] = [keys[a], keys[b]];
      if (x === null || y === null) {
        return (x === null) - (y === null) || a - b;
      }
      if (x < y) {
        return -direction;
      }
      return x > y ? direction : a - b;
    });
  }

  class RowTable {
    constructor(root) {
      this.root = root;
      this.kept = Number(root.dataset.kept);
      this.title = root.closest("section").querySelector("h3").textContent;
      this.headers = Array.from(root.querySelectorAll("thead th"));
      this.body = root.querySelector("tbody");
      this.data = null;
      this.texts = null;
      this.order = null;
      this.sortColumn = null;
      this.direction = 1;
      this.page = 0;
      this.pageSize = PAGE_SIZES[0];
      this.addSorting();
      this.addControls();
      this.addPager();
      const note = root.querySelector(".not-static");
      if (note !== null) {
        note.remove();
      }
      this.tell(this.kept);
    }

    addSorting() {
      this.headers.forEach((header, column) => {
        const sort = element("button", "sort", header.textContent);
        sort.type = "button";
        sort.addEventListener("click", () => this.sortBy(column));
        header.setAttribute("aria-sort", "none");
        // On paper the heads are repeated, which browsers do not do with buttons.
        header.replaceChildren(sort, element("span", "on-paper", sort.textContent));
      });
    }

    addControls() {
      const controls = this.root.querySelector(".controls");
      const field = element("label", "field");
      this.filter = element("input", "row-filter");
      this.filter.type = "search";
      this.filter.autocomplete = "off";
      this.filter.spellcheck = false;
      this.filter.setAttribute("aria-label", `Filter rows of ${this.title}`);
      field.append(element("span", "", "Filter rows"), this.filter);
      controls.append(field);
      let waiting = 0;
      this.filter.addEventListener("input", () => {
        clearTimeout(waiting);
        waiting = setTimeout(() => this.update(), 120);
      });
      if (this.headers.some((header) => header.classList.contains("suppression"))) {
        const hide = element("label", "check");
        this.hideSuppressed = element("input", "hide-suppressed");
        this.hideSuppressed.type = "checkbox";
        this.hideSuppressed.addEventListener("change", () => this.update());
        hide.append(this.hideSuppressed, element("span", "", "Hide suppressed"));
        controls.append(hide);
      }
      if (this.kept > PAGE_SIZES[0]) {
        controls.append(this.sizeField());
      }
      controls.hidden = false;
    }

    sizeField() {
      const field = element("label", "field size");
      const sizes = element("select", "page-size");
      for (const size of PAGE_SIZES) {
        sizes.append(new Option(count(size), String(size)));
      }
      sizes.addEventListener("change", () => {
        this.pageSize = Number(sizes.value);
        this.update();
      });
      field.append(element("span", "", "Rows a page"), sizes);
      return field;
    }

    addPager() {
      const pager = element("div", "pager");
      this.status = element("p", "row-status");
      this.status.setAttribute("role", "status");
      this.status.setAttribute("aria-live", "polite");
      this.steps = element("div", "steps");
      const go = (page) => () => this.go(page());
      this.back = [
        button("«", "First page", go(() => 0)),
        button("‹", "Previous page", go(() => this.page - 1)),
      ];
      this.forth = [
        button("›", "Next page", go(() => this.page + 1)),
        button("»", "Last page", go(() => this.lastPage())),
      ];
      this.steps.append(...this.back, ...this.forth);
      pager.append(this.status, this.steps);
      this.root.append(pager);
    }

    // The rows are parsed when they are first asked for: until then the static ones stand.
    load() {
      if (this.data === null) {
        this.data = JSON.parse(document.getElementById(this.root.dataset.rows).textContent);
      }
      return this.data;
    }

    sortBy(column) {
      if (this.sortColumn !== column) {
        [this.sortColumn, this.direction] = [column, 1];
      } else if (this.direction === 1) {
        this.direction = -1;
      } else {
        // The third time brings the report's own order back.
        [this.sortColumn, this.direction] = [null, 1];
      }
      this.headers.forEach((header, index) => {
        const order = this.direction === 1 ? "ascending" : "descending";
        header.setAttribute("aria-sort", index === this.sortColumn ? order : "none");
      });
      this.update();
    }

    matching() {
      const { rows } = this.load();
      const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      if (words.length > 0 && this.texts === null) {
        this.texts = rows.map((row) => row[0].join("\n").toLowerCase());
      }
      const hide = this.hideSuppressed !== undefined && this.hideSuppressed.checked;
      const indexes = [];
      rows.forEach((row, index) => {
        const isOpen = !hide || row[1] === 0;
        if (isOpen && words.every((word) => this.texts[index].includes(word))) {
          indexes.push(index);
        }
      });
      return indexes;
    }

    update() {
      this.order = this.matching();
      if (this.sortColumn !== null) {
        const { kinds, rows } = this.data;
        const kind = kinds[this.sortColumn];
        const keys = rows.map((row) => sortKey(row[0][this.sortColumn], kind));
        sorted(this.order, keys, this.direction);
      }
      this.go(0);
    }

    go(page) {
      if (this.order === null) {
        this.order = this.matching();
      }
      this.page = Math.max(0, Math.min(page, this.lastPage()));
      this.show();
      this.root.querySelector(".scroll").scrollTop = 0;
    }

    lastPage() {
      const shown = this.order === null ? this.kept : this.order.length;
      return Math.max(0, Math.ceil(shown / this.pageSize) - 1);
    }

    show() {
      const { kinds, rows } = this.data;
      const first = this.page * this.pageSize;
      const lines = this.order.slice(first, first + this.pageSize).map((index) => {
        const [texts, suppressed, place] = rows[index];
        const line = element("tr", suppressed === 0 ? "" : "suppressed");
        line.append(...texts.map((text, column) => tableCell(text, kinds[column], place)));
        return line;
      });
      this.body.replaceChildren(...lines);
      this.tell(this.order.length);
    }

    tell(shown) {
      const first = this.page * this.pageSize;
      const last = Math.min(first + this.pageSize, shown);
      const of = shown === this.kept ? "" : `, filtered from ${count(this.kept)}`;
      this.status.textContent =
        shown === 0
          ? `No row matches${of}`
          : `Rows ${count(first + 1)}–${count(last)} of ${count(shown)}${of}`;
      this.steps.hidden = shown <= this.pageSize;
      // Not "disabled", which would take the focus away from who steps with the keyboard.
      const set = (isAtEnd) => (step) => step.setAttribute("aria-disabled", String(isAtEnd));
      this.back.forEach(set(this.page === 0));
      this.forth.forEach(set(this.page === this.lastPage()));
    }
  }

  document.querySelectorAll(".rows").forEach((root) => new RowTable(root));
})();
