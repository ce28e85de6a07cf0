package native

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sluiceproxy/sluice/config"
)

// maxFileSize bounds what is read, so that -c /dev/zero ends.
const maxFileSize = 64 << 20

// Options are what a configuration depends on besides its file. A flag beats
// an environment variable beats the file.
type Options struct {
	Environ []string          // NAME=value as from os.Environ; unknown names are ignored
	Flags   map[string]string // flags that the user set, by the name in Overrides

	// Prepare finds problems beyond config.Validate, such as filter chains
	// with the same match. It is only called with a valid configuration, and
	// must not change it. Nil: nothing more is checked.
	Prepare func(*config.Config) config.Problems
}

// Loaded is a valid configuration and where its parts came from.
type Loaded struct {
	Config *config.Config
	origin origin
}

// Explain turns problems found later into an error of the form of Load's: with
// file and line, or the flag or variable that the value came from. No problem
// is nil.
func (l *Loaded) Explain(problems config.Problems) error {
	return asError(l.origin.locate(problems))
}

// Load reads the configuration file at path. What is wrong with its content
// is an *Error; other errors are about reading.
func Load(path string, opts Options) (*Loaded, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return Parse(path, data, opts)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("%s is larger than %d MiB", path, maxFileSize>>20)
	}
	return data, nil
}

// Parse reads a configuration from data; name stands in messages where the
// file's name would.
func Parse(name string, data []byte, opts Options) (*Loaded, error) {
	doc, problem := parseDocument(name, data)
	if problem != nil {
		return nil, asError([]Problem{*problem})
	}
	c := newChecker(name)
	values, _ := c.mapping("", doc.root, modelShape())
	overrides, problems := settings(opts)
	problems = append(problems, c.problems...)
	cfg, err := decode(values, overrides)
	if err != nil {
		return nil, asError(append(problems, Problem{File: name, Message: err.Error()}))
	}
	config.Normalize(cfg)
	from := origin{name: name, doc: doc, overrides: overrides}
	found := config.Validate(cfg)
	if len(problems) == 0 && len(found) == 0 && opts.Prepare != nil {
		found = opts.Prepare(cfg)
	}
	problems = append(problems, from.locate(withoutConsequences(found, c.unread))...)
	if len(problems) > 0 {
		return nil, asError(problems)
	}
	return &Loaded{Config: cfg, origin: origin{name: name, text: data, overrides: overrides}}, nil
}

// origin knows where values came from. A document takes ten times the memory
// of its text, so that of a valid configuration only the text is kept.
type origin struct {
	name      string // of the file, for messages
	doc       *document
	text      []byte // of a document that can be read; instead of doc
	overrides []setting
}

func (o origin) locate(problems config.Problems) []Problem {
	if o.doc == nil && len(problems) > 0 {
		o.doc, _ = parseDocument(o.name, o.text)
	}
	located := make([]Problem, 0, len(problems))
	for _, p := range problems {
		at := Problem{File: o.name, Path: p.Path, Message: p.Message}
		if source := o.override(p.Path); source != "" {
			at.File = source
		} else {
			at.Line = o.doc.line(p.Path)
		}
		located = append(located, at)
	}
	return located
}

func (o origin) override(path string) string {
	for _, s := range o.overrides {
		if s.key == path {
			return s.source
		}
	}
	return ""
}

// withoutConsequences drops problems of the model that only follow from
// values that could not be read and so are missing from it.
func withoutConsequences(found config.Problems, unread map[string]bool) config.Problems {
	var left config.Problems
	for _, p := range found {
		follows := false
		for path := p.Path; path != "" && !follows; path = parent(path) {
			follows = unread[path]
		}
		if !follows {
			left = append(left, p)
		}
	}
	return left
}

// parent cuts the last step off a key path.
func parent(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}
