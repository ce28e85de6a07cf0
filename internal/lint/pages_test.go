package lint

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pages are the texts of the repository, by path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	for _, name := range files(t, ".md") {
		texts[name] = string(read(t, name))
	}
	return texts
}

// TestLinks follows every relative link of every page.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)
	for name, text := range pages(t) {
		for _, found := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(found[1], "://") {
				continue
			}
			target := path.Join(path.Dir(name), found[1])
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s links to %s, which is not there", name, found[1])
			}
		}
	}
}

// TestConfigsAreMentioned wants an example to be found by who needs it.
func TestConfigsAreMentioned(t *testing.T) {
	var all strings.Builder
	for _, text := range pages(t) {
		all.WriteString(text)
	}
	examples := files(t, ".yaml")
	examples = slices.DeleteFunc(examples, func(name string) bool { return path.Dir(name) != "configs" })
	if len(examples) == 0 {
		t.Fatal("no configs/*.yaml found")
	}
	for _, name := range examples {
		if !strings.Contains(all.String(), name) {
			t.Errorf("no page mentions %s", name)
		}
	}
}

// TestCommandsExist holds code in pages to the Makefile and to the commands of
// sluice.
func TestCommandsExist(t *testing.T) {
	targets := makeTargets(string(read(t, "Makefile")))
	commands := sluiceCommands(t)
	for name, text := range pages(t) {
		for _, code := range codeOf(text) {
			for _, target := range namesAfter("make", code) {
				if !slices.Contains(targets, target) {
					t.Errorf("%s says make %s; the Makefile has %v", name, target, targets)
				}
			}
			for _, command := range namesAfter("sluice", code) {
				if !slices.Contains(commands, command) {
					t.Errorf("%s says sluice %s; cmd/sluice has %v", name, command, commands)
				}
			}
		}
	}
}

// codeOf returns the code of a page: fenced blocks, and spans in backticks.
func codeOf(text string) []string {
	var code []string
	fenced := strings.Split(text, "```")
	for i, part := range fenced {
		if i%2 == 1 {
			code = append(code, part)
			continue
		}
		spans := strings.Split(part, "`")
		for j := 1; j < len(spans); j += 2 {
			code = append(code, spans[j])
		}
	}
	return code
}

// namesAfter finds what a line of code calls program with: the first word
// after it, if that is a plain name. Comments do not count.
func namesAfter(program, code string) []string {
	call := regexp.MustCompile(`(?m)^[^#\n]*?(?:^|[\s/])` + program + ` ([a-z][a-z-]*)\b`)
	var names []string
	for _, found := range call.FindAllStringSubmatch(code, -1) {
		names = append(names, found[1])
	}
	return names
}

func makeTargets(makefile string) []string {
	var names []string
	for _, found := range regexp.MustCompile(`(?m)^([a-z][a-z-]*):`).FindAllStringSubmatch(makefile, -1) {
		names = append(names, found[1])
	}
	return names
}

// sluiceCommands reads the names of the commands from their Use fields; help
// and completion are cobra's own.
func sluiceCommands(t *testing.T) []string {
	t.Helper()
	names := []string{"help", "completion"}
	use := regexp.MustCompile(`Use: +"([a-z]+)`)
	for _, name := range files(t, ".go") {
		if path.Dir(name) == "cmd/sluice" {
			for _, found := range use.FindAllStringSubmatch(string(read(t, name)), -1) {
				names = append(names, found[1])
			}
		}
	}
	return names
}

func TestCodeOf(t *testing.T) {
	page := "Call `make demo` or make sure:\n```sh\nsudo ./bin/sluice run -c x\n# make nothing\nsluice -h\n```\nand `make bench`."
	var targets, commands []string
	for _, code := range codeOf(page) {
		targets = append(targets, namesAfter("make", code)...)
		commands = append(commands, namesAfter("sluice", code)...)
	}
	if !slices.Equal(targets, []string{"demo", "bench"}) || !slices.Equal(commands, []string{"run"}) {
		t.Errorf("got targets %v and commands %v", targets, commands)
	}
}
