package native

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// FuzzParse: a configuration xor an error; what is accepted is written back
// as something that is accepted and equal.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/*.yml", "../../configs/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("no seeds in %s: %v", pattern, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			input, _ := splitWant(data)
			f.Add(input)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		loaded, err := Parse("fuzz", data, Options{})
		if (loaded == nil) == (err == nil) {
			t.Fatalf("Parse = %v, %v", loaded, err)
		}
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error that says nothing")
			}
			return
		}
		dump, err := Dump(loaded.Config)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse("dump", dump, Options{})
		if err != nil {
			t.Fatalf("%v\nin the dump\n%s", err, dump)
		}
		if !reflect.DeepEqual(again.Config, loaded.Config) {
			t.Fatalf("the dump parses to another configuration:\n%s", dump)
		}
	})
}
