// Finding one's way through the reports: the filter, the table of contents, printing.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const form = byId("filter");
  const search = byId("report-search");
  const reports = Array.from(document.querySelectorAll("section.report"), (section) => ({
    section,
    entry: document.querySelector(`[data-report="${section.id}"]`),
    // The title and the name; not the rows, which have their own filters.
    text: `${section.dataset.name} ${section.querySelector("h3").textContent}`.toLowerCase(),
  }));

  const chosen = (name) =>
    Array.from(form.querySelectorAll(`input[name="${name}"]:checked`), (input) => input.value);

  function isShown(report, words, answers, levels) {
    const { answer, level } = report.section.dataset;
    return (
      (answers.length === 0 || answers.includes(answer)) &&
      (levels.length === 0 || levels.includes(level)) &&
      words.every((word) => report.text.includes(word))
    );
  }

  function applyFilter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const answers = chosen("answer");
    const levels = chosen("level");
    let shown = 0;
    for (const report of reports) {
      const show = isShown(report, words, answers, levels);
      report.section.hidden = !show;
      report.entry.hidden = !show;
      shown += show ? 1 : 0;
    }
    // A topic of which no report is shown has nothing to say.
    for (const topic of document.querySelectorAll("section.topic")) {
      topic.hidden = topic.querySelector("section.report:not([hidden])") === null;
    }
    for (const topic of document.querySelectorAll(".toc-topic")) {
      topic.hidden = topic.querySelector("li:not([hidden])") === null;
    }
    byId("report-count").textContent = `${shown} of ${reports.length} reports`;
    byId("filter-reset").hidden = words.length + answers.length + levels.length === 0;
  }

  function resetFilter() {
    form.reset();
    applyFilter();
  }

  // A link to a report that the filter hides shows all reports again.
  function followHash() {
    const target = byId(location.hash.slice(1));
    if (target !== null && target.closest("[hidden]") !== null) {
      resetFilter();
      target.scrollIntoView();
    }
  }

  // The contents stand open beside the reports, and closed above them.
  function fitContents() {
    const wide = matchMedia("(min-width: 68rem)");
    const fit = () => {
      byId("contents").open = wide.matches;
    };
    wide.addEventListener("change", fit);
    fit();
    byId("contents").addEventListener("click", (event) => {
      if (!wide.matches && event.target.closest("a") !== null) {
        byId("contents").open = false;
      }
    });
  }

  // Marks the report that is being read.
  function followReading() {
    const seen = new Set();
    const observer = new IntersectionObserver(
      (entries) => {
        for (const entry of entries) {
          if (entry.isIntersecting) {
            seen.add(entry.target);
          } else {
            seen.delete(entry.target);
          }
        }
        const current = reports.find((report) => seen.has(report.section));
        for (const report of reports) {
          const link = report.entry.querySelector("a");
          if (report === current) {
            link.setAttribute("aria-current", "true");
          } else {
            link.removeAttribute("aria-current");
          }
        }
      },
      { rootMargin: "-15% 0px -70% 0px" },
    );
    reports.forEach((report) => observer.observe(report.section));
  }

  // On paper nothing can be opened.
  function openForPrint() {
    let closed = [];
    addEventListener("beforeprint", () => {
      closed = Array.from(document.querySelectorAll("details:not([open])"));
      closed.forEach((details) => {
        details.open = true;
      });
    });
    addEventListener("afterprint", () => {
      closed.forEach((details) => {
        details.open = false;
      });
    });
  }

  form.hidden = false;
  form.addEventListener("input", applyFilter);
  form.addEventListener("submit", (event) => event.preventDefault());
  byId("filter-reset").addEventListener("click", () => {
    resetFilter();
    search.focus();
  });
  addEventListener("hashchange", followHash);
  fitContents();
  followReading();
  openForPrint();
})();
