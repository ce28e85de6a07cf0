package lint

import (
	"go/ast"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestFaultsAreTested wants each row of the table of faults to name an end-to-end
// test, and each test that the page names to exist.
func TestFaultsAreTested(t *testing.T) {
	const page = "docs/reliability.md"
	tests := endToEndTests(t)
	text := string(read(t, page))
	for _, name := range testNames(text) {
		if !slices.Contains(tests, name) {
			t.Errorf("%s names %s, which is not in test", page, name)
		}
	}
	rows := faultRows(text)
	if len(rows) == 0 {
		t.Fatalf("%s has no table of faults", page)
	}
	for _, row := range rows {
		cells := strings.Split(row, " | ")
		last := cells[len(cells)-1]
		if len(cells) != 4 || len(testNames(last)) == 0 && !strings.Contains(last, "*to come*") {
			t.Errorf("%s: this row needs a fault, how it is injected, what is promised, and a test:\n%s", page, row)
		}
	}
}

// endToEndTests are the names of the tests and benchmarks of package test.
func endToEndTests(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, s := range sources(t) {
		if s.dir() != "test" || !s.isTest() {
			continue
		}
		for _, decl := range s.file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && len(testNames("`"+fn.Name.Name+"`")) > 0 {
				names = append(names, fn.Name.Name)
			}
		}
	}
	return names
}

// testNames are the tests and benchmarks that a text names in backticks.
func testNames(text string) []string {
	var names []string
	for _, found := range regexp.MustCompile("`((?:Test|Benchmark)[A-Z0-9][A-Za-z0-9]*)`").FindAllStringSubmatch(text, -1) {
		names = append(names, found[1])
	}
	return names
}

// faultRows are the rows of the table under "Faults", without its head.
func faultRows(text string) []string {
	_, section, _ := strings.Cut(text, "\n## Faults\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var rows []string
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| ---") {
			rows = append(rows, strings.TrimSpace(line))
		}
	}
	return rows[min(1, len(rows)):]
}

func TestFaultRows(t *testing.T) {
	page := "# x\n| no | table |\n\n## Faults\n\n| fault | how | what | test |\n| --- | --- | --- | --- |\n| a | b | c | `TestD`, `TestE2` |\n\n## More\n| e | f |\n"
	rows := faultRows(page)
	if len(rows) != 1 || !slices.Equal(testNames(rows[0]), []string{"TestD", "TestE2"}) {
		t.Errorf("rows %q", rows)
	}
}
