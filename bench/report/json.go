package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/sluiceproxy/sluice/bench"
)

// format is the version of the JSON. It moves when a program that reads the
// last one would misread the next.
const format = 1

// envelope is what a file holds.
type envelope struct {
	Format int             `json:"format"`
	Report json.RawMessage `json:"report"`
}

// WriteJSON writes a report so that ReadJSON gets the same back: an object with
// "format", the version, and "report", which is a bench.Report with its durations
// in nanoseconds.
func WriteJSON(w io.Writer, r *bench.Report) error {
	content, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the report as JSON: %w", err)
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(envelope{format, content}); err != nil {
		return fmt.Errorf("write the report as JSON: %w", err)
	}
	return nil
}

// ReadJSON reads what WriteJSON wrote. It refuses another format, which another
// version of sluicebench wrote, and rows that belong to no scenario, which would
// be shown nowhere.
func ReadJSON(r io.Reader) (*bench.Report, error) {
	var file envelope
	if err := json.NewDecoder(r).Decode(&file); err != nil {
		return nil, fmt.Errorf("read the report: not the JSON that sluicebench writes: %w", err)
	}
	switch {
	case file.Format == 0:
		return nil, errors.New(`read the report: it has no "format"; want a file that sluicebench compare wrote`)
	case file.Format != format:
		return nil, fmt.Errorf("read the report: it has format %d and this sluicebench reads format %d; use the sluicebench that wrote it", file.Format, format)
	case len(file.Report) == 0:
		return nil, errors.New(`read the report: it has no "report"; was it written to its end?`)
	}
	report := new(bench.Report)
	if err := json.Unmarshal(file.Report, report); err != nil {
		return nil, fmt.Errorf("read the report: %w", err)
	}
	if err := check(report); err != nil {
		return nil, fmt.Errorf("read the report: %w", err)
	}
	return report, nil
}

// check finds what would make parts of the report vanish.
func check(r *bench.Report) error {
	scenarios := make(map[string]bool)
	for _, s := range r.Scenarios {
		if scenarios[s.Name] {
			return fmt.Errorf("scenario %q is there twice", s.Name)
		}
		scenarios[s.Name] = true
	}
	type key struct{ scenario, subject string }
	rows := make(map[key]bool)
	for _, row := range r.Rows {
		k := key{row.Scenario, row.Subject}
		if !scenarios[row.Scenario] {
			return fmt.Errorf("a row of %s belongs to scenario %q, which is not there", row.Subject, row.Scenario)
		}
		if rows[k] {
			return fmt.Errorf("scenario %q has two rows of %s", row.Scenario, row.Subject)
		}
		rows[k] = true
	}
	return nil
}
