package native

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the expectations under testdata")

// want marks the lines of a *.bad.yml that hold the expected messages.
const want = "# want: "

func testFiles(t *testing.T, pattern string, atLeast int) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < atLeast {
		t.Fatalf("%d files match %s, want at least %d", len(files), pattern, atLeast)
	}
	return files
}

func readTestFile(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// splitWant cuts the expectations off the end of a bad file.
func splitWant(data []byte) (input []byte, messages []string) {
	i := bytes.Index(data, []byte(want))
	if i < 0 {
		return data, nil
	}
	for _, line := range strings.Split(strings.TrimSpace(string(data[i:])), "\n") {
		messages = append(messages, strings.TrimPrefix(line, want))
	}
	return data[:i], messages
}

func TestBadFiles(t *testing.T) {
	for _, file := range testFiles(t, "*.bad.yml", 40) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			input, messages := splitWant(readTestFile(t, file))
			loaded, err := Parse("x.yml", input, Options{})
			if err == nil || loaded != nil {
				t.Fatalf("Parse = %v, %v; want an error alone", loaded, err)
			}
			got := strings.Split(err.Error(), "\n")
			if *update {
				text := string(input) + want + strings.Join(got, "\n"+want) + "\n"
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !reflect.DeepEqual(got, messages) {
				t.Errorf("got\n%s\nwant\n%s", err, strings.Join(messages, "\n"))
			}
		})
	}
}

func TestGoodFiles(t *testing.T) {
	for _, file := range testFiles(t, "*.good.yml", 8) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			loaded, err := Parse(file, readTestFile(t, file), Options{})
			if err != nil {
				t.Fatal(err)
			}
			dump, err := Dump(loaded.Config)
			if err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(file, ".yml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, dump, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !bytes.Equal(dump, readTestFile(t, golden)) {
				t.Errorf("dump differs from %s:\n%s", golden, dump)
			}
			again, err := Parse("dump", dump, Options{})
			if err != nil {
				t.Fatalf("the dump does not parse: %v", err)
			}
			if !reflect.DeepEqual(again.Config, loaded.Config) {
				t.Errorf("the dump parses to another configuration:\n%+v\n%+v", again.Config, loaded.Config)
			}
		})
	}
}
