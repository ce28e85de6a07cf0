package lint

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the top of the checkout, seen from this package.
const root = "../.."

// source is one parsed Go file.
type source struct {
	path  string // from the top of the checkout, with slashes
	set   *token.FileSet
	file  *ast.File
	lines int
}

func parse(name string, text []byte) (*source, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &source{path: name, set: set, file: file, lines: set.File(file.Pos()).LineCount()}, nil
}

// dir is the package's directory, as the tables of this package name it.
func (s *source) dir() string { return path.Dir(s.path) }

func (s *source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// problem is a message with file and line, as the compiler writes them.
func (s *source) problem(at ast.Node, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: ", s.path, s.line(at.Pos())) + fmt.Sprintf(format, args...)
}

func (s *source) line(pos token.Pos) int { return s.set.Position(pos).Line }

// sources parses every Go file of the repository.
func sources(t *testing.T) []*source {
	t.Helper()
	var all []*source
	for _, name := range files(t, ".go") {
		s, err := parse(name, read(t, name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// files lists the files of the repository with an ending. Test data and what
// is built do not count.
func files(t *testing.T, ending string) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains([]string{".git", "bin", "testdata"}, entry.Name()) {
			return fs.SkipDir
		}
		if !entry.IsDir() && strings.HasSuffix(name, ending) {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// rule finds what is wrong with one file.
type rule func(*source) []string

// obey fails the test with everything that a rule finds in the repository.
func obey(t *testing.T, r rule) {
	t.Helper()
	for _, s := range sources(t) {
		for _, problem := range r(s) {
			t.Error(problem)
		}
	}
}

// ruleCase is a file and what a rule must say of it; "" means nothing.
type ruleCase struct{ name, path, text, want string }

// checkRule shows that a rule sees what it is for, and nothing else.
func checkRule(t *testing.T, r rule, cases []ruleCase) {
	t.Helper()
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			s, err := parse(tc.path, []byte(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(r(s), "\n")
			if tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
				t.Errorf("the rule says %q, want %q", got, tc.want)
			}
		})
	}
}
