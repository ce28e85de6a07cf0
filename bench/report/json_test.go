package report

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/bench"
)

func TestJSONGoesRound(t *testing.T) {
	var written bytes.Buffer
	if err := WriteJSON(&written, sample()); err != nil {
		t.Fatal(err)
	}
	golden(t, "sample.json", written.Bytes())
	read, err := ReadJSON(bytes.NewReader(written.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(read, sample()) {
		t.Error("what was read is not what was written")
	}
}

func TestReadJSONRefuses(t *testing.T) {
	type refuseCase struct{ name, text, want string }
	for _, c := range []refuseCase{
		{"nothing", "", "not the JSON that sluicebench writes"},
		{"text", "hello", "not the JSON that sluicebench writes"},
		{"other JSON", `{"rows":[]}`, `no "format"`},
		{"a later format", `{"format":2,"report":{}}`, "format 2 and this sluicebench reads format 1"},
		{"no report", `{"format":1}`, `no "report"`},
		{"half a report", `{"format":1,"report":{"rows":[`, "not the JSON"},
		{"a report of another kind", `{"format":1,"report":{"rows":7}}`, "cannot unmarshal"},
		{"a stray row", `{"format":1,"report":{"rows":[{"scenario":"s","subject":"nginx"}]}}`, `scenario "s", which is not there`},
		{"two rows", `{"format":1,"report":{"scenarios":[{"name":"s"}],"rows":[{"scenario":"s","subject":"nginx"},{"scenario":"s","subject":"nginx"}]}}`, "two rows of nginx"},
		{"two scenarios", `{"format":1,"report":{"scenarios":[{"name":"s"},{"name":"s"}]}}`, "there twice"},
	} {
		if _, err := ReadJSON(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
}

// full is a disk without space.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestWritersTellOfErrors(t *testing.T) {
	type writeCase struct {
		name  string
		write func(r *bench.Report) error
	}
	for _, c := range []writeCase{
		{"JSON", func(r *bench.Report) error { return WriteJSON(full{}, r) }},
		{"table", func(r *bench.Report) error { return Table(full{}, r) }},
		{"HTML", func(r *bench.Report) error { return HTML(full{}, r) }},
	} {
		if err := c.write(sample()); err == nil || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("%s: error %v, want no space left", c.name, err)
		}
	}
}
