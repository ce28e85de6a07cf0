// Package conformance reads the files of testdata/conformance, for tests.
package conformance

import (
	"encoding/json"
	"os"
	"testing"
)

// Cases reads the cases of a file of JSON, which has at least one under "cases".
// Fields that C does not know are left alone.
func Cases[C any](t testing.TB, path string) []C {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Cases []C `json:"cases"`
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if len(all.Cases) == 0 {
		t.Fatalf("%s has no cases", path)
	}
	return all.Cases
}
