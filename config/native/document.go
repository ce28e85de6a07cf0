package native

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v3"
)

// document is one parsed YAML file.
type document struct {
	name string     // of the file, for messages
	root *yaml.Node // a mapping
}

// parseDocument reads exactly one YAML document with a mapping on top.
func parseDocument(name string, data []byte) (*document, *Problem) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var root yaml.Node
	if err := decoder.Decode(&root); errors.Is(err, io.EOF) {
		return nil, &Problem{File: name, Line: 1, Message: emptyMessage}
	} else if err != nil {
		return nil, syntaxProblem(name, data, err)
	}
	var second yaml.Node
	if err := decoder.Decode(&second); err == nil {
		return nil, &Problem{File: name, Line: second.Line, Message: "a second YAML document begins here: a configuration is one document, remove the --- line or the rest"}
	} else if !errors.Is(err, io.EOF) {
		return nil, syntaxProblem(name, data, err)
	}
	top := resolve(root.Content[0])
	if isNull(top) {
		return nil, &Problem{File: name, Line: 1, Message: emptyMessage}
	}
	if top.Kind != yaml.MappingNode {
		return nil, &Problem{File: name, Line: top.Line, Message: "a configuration must be a mapping (key: value), not " + describe(top)}
	}
	if problem := checkExpansion(name, top); problem != nil {
		return nil, problem
	}
	return &document{name: name, root: top}, nil
}

const emptyMessage = "the file is empty: a configuration needs at least listeners and clusters (sluice run without -c runs the built-in sidecar)"

// resolve follows an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// describe names what stands where something else should.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	if isNull(n) {
		return "nothing"
	}
	return quote(n.Value)
}

// quote shows a user's text in a message: on one line and cut.
func quote(s string) string {
	const longest = 100
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "") + "…"
	}
	return strconv.Quote(s)
}
