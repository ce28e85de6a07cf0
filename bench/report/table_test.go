package report

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sluiceproxy/sluice/bench"
)

func table(t *testing.T, r *bench.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := Table(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTable(t *testing.T) {
	text := table(t, sample())
	golden(t, "table.txt", []byte(text))
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(line) - 1; n > 160 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestTableOfNothing(t *testing.T) {
	text := table(t, &bench.Report{})
	if strings.Contains(text, "Goals") || strings.Contains(text, "Left out") || !strings.Contains(text, "Machine") {
		t.Errorf("an empty report:\n%s", text)
	}
}

func TestTableWithoutPeers(t *testing.T) {
	r := sample()
	var rows []bench.Row
	for _, row := range r.Rows {
		if row.Subject == bench.Sluice {
			rows = append(rows, row)
		}
	}
	r.Rows = rows
	text := table(t, r)
	for _, want := range []string{"× best peer", "cannot be judged: no peer to compare with"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}
