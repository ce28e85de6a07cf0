package report

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"

	"github.com/sluiceproxy/sluice/bench"
)

//go:embed page
var pageFiles embed.FS

// page is what the template page.html shows.
type page struct {
	Report   *bench.Report
	Machine  string
	Taken    string
	Score    string
	Goals    []goalRow
	Chapters []chapter
	Details  []detail
	LeftOut  []leftOut
	Looks    []look
	look     map[string]look
}

type leftOut struct{ What, Why string }

// HTML writes a report as one page that needs nothing else: no script, no
// network, plots as SVG. Everything in the report is escaped. The error is w's.
func HTML(w io.Writer, r *bench.Report) error {
	p := newPage(r)
	functions := template.FuncMap{
		"look":  func(subject string) look { return p.look[subject] },
		"modes": modeWords,
	}
	t, err := template.New("page.html").Funcs(functions).ParseFS(pageFiles, "page/*")
	if err != nil {
		return fmt.Errorf("parse the page's templates: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		return fmt.Errorf("make the page: %w", err)
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

func newPage(r *bench.Report) *page {
	plots := newPlotter(r)
	goals := goalRows(r)
	p := &page{Report: r, Machine: machineWords(r.Machine), Taken: takenWords(r), Score: score(goals),
		Goals: goals, Chapters: plots.chapters(), look: plots.looks}
	for _, name := range plots.names {
		p.Looks = append(p.Looks, plots.looks[name])
	}
	for i := range r.Scenarios {
		p.Details = append(p.Details, newDetail(r, &r.Scenarios[i]))
	}
	for _, l := range r.LeftOut {
		p.LeftOut = append(p.LeftOut, leftOut{leftOutWords(l), l.Why})
	}
	return p
}
