package main

import (
	"encoding/json"
	"errors"
	"testing"
)

func TestSchemaCommand(t *testing.T) {
	s := newSurroundings()
	if code, message := runCommand(newSchemaCommand(&s.env), []string{}...); code != 0 {
		t.Fatalf("exit %d: %s", code, message)
	}
	var schema struct {
		Schema     string         `json:"$schema"`
		Properties map[string]any `json:"properties"`
	}
	if err := json.Unmarshal(s.out.Bytes(), &schema); err != nil {
		t.Fatal(err)
	}
	if schema.Schema != "https://json-schema.org/draft/2020-12/schema" || schema.Properties["listeners"] == nil {
		t.Errorf("got %s", &s.out)
	}
	if code, _ := runCommand(newSchemaCommand(&s.env), "extra"); code != 2 {
		t.Errorf("an argument exits with %d", code)
	}
}

// fullDisk is a writer that cannot.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestSchemaCommandCannotWrite(t *testing.T) {
	s := newSurroundings()
	s.stdout = fullDisk{}
	code, message := runCommand(newSchemaCommand(&s.env), []string{}...)
	if code != 1 || message != "writing the schema: no space left on device" {
		t.Errorf("exit %d: %s", code, message)
	}
}
