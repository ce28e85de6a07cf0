package native

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestSnake(t *testing.T) {
	type snakeCase struct{ field, key string }
	for _, tc := range []snakeCase{
		{"ID", "id"}, {"TCPUserTimeout", "tcp_user_timeout"}, {"LBPolicy", "lb_policy"}, {"TCPProxy", "tcp_proxy"},
		{"UseOriginalDst", "use_original_dst"}, {"Name", "name"}, {"SourceIPs", "source_ips"}, {"notSourceIPs", "not_source_ips"}, {"useOriginalDst", "use_original_dst"}, {"", ""},
	} {
		if got := snake(tc.field); got != tc.key {
			t.Errorf("snake(%q) = %q, want %q", tc.field, got, tc.key)
		}
	}
}

// everyField calls visit with model type and field of each key.
func everyField(s *shape, visit func(owner reflect.Type, f field)) {
	if s.kind == list {
		everyField(s.elem, visit)
	}
	for _, f := range s.fields {
		visit(s.typ, f)
		everyField(f.shape, visit)
	}
}

func TestEveryKeyHasANote(t *testing.T) {
	used := make(map[string]bool)
	everyField(modelShape(), func(owner reflect.Type, f field) {
		name := owner.Name() + "." + owner.Field(f.index).Name
		used[name] = true
		if f.note.doc == "" {
			t.Errorf("notes has nothing about %s", name)
		}
		if _, ok := later[owner.Name()][f.key]; ok {
			t.Errorf("%s is supported and in later", name)
		}
	})
	for name := range notes {
		if !used[name] {
			t.Errorf("notes has %s, the model has not", name)
		}
	}
}

func TestLaterBelongsToTheModel(t *testing.T) {
	owners := map[string]bool{"Config": true}
	everyField(modelShape(), func(owner reflect.Type, f field) { owners[owner.Name()], owners[f.shape.typ.Name()] = true, true })
	for owner := range later {
		if !owners[owner] {
			t.Errorf("later has %s, the model has not", owner)
		}
	}
	for owner := range laterValues {
		if !owners[owner] {
			t.Errorf("laterValues has %s, the model has not", owner)
		}
	}
}

// The reference tells of every key that is not supported yet, and the test
// file that holds one of each has them all.
func TestLaterIsDocumentedAndTested(t *testing.T) {
	reference, err := os.ReadFile("../../configs/reference.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, comment, _ := strings.Cut(string(reference), "# Not supported yet")
	_, messages := splitWant(readTestFile(t, "testdata/later.bad.yml"))
	tested := strings.Join(messages, "\n")
	for _, keys := range later {
		for key := range keys {
			if !strings.Contains(comment, key) || !strings.Contains(tested, key+": not supported yet: ") {
				t.Errorf("%s is not in reference.yaml or not in later.bad.yml", key)
			}
		}
	}
	for _, values := range laterValues {
		for value := range values {
			if !strings.Contains(comment, value) || !strings.Contains(tested, ": "+value+" is not supported yet: ") {
				t.Errorf("%s is not in reference.yaml or not in later.bad.yml", value)
			}
		}
	}
}

func TestNearest(t *testing.T) {
	s := modelShape()
	type nearCase struct{ key, want string }
	for _, tc := range []nearCase{
		{"listener", "listeners"}, {"access-log", "access_log"}, {"accessLog", "access_log"}, {"Admin", "admin"},
		{"lgo", ""}, {"logs", "log"}, {"drian", "drain"}, {"something_else", ""}, {strings.Repeat("log", 1000), ""}, {"", ""},
	} {
		if got := nearest(s, tc.key); got != tc.want {
			t.Errorf("nearest(%.20q) = %q, want %q", tc.key, got, tc.want)
		}
	}
}
