package native

import (
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v3"
)

// line tells where a key path stands: the line of its key or list item, or of
// the nearest part above it that is written in the file.
func (d *document) line(path string) int {
	node, line := d.root, d.root.Line
	for _, step := range steps(path) {
		next, at := child(node, step)
		if next == nil {
			break
		}
		node, line = next, at
	}
	return line
}

// alone is the one item of a list that may be written without its brackets
// (shape.single), where paths leave out the index.
func alone(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.SequenceNode && len(n.Content) == 1 {
		return resolve(n.Content[0])
	}
	return n
}

// steps cuts listeners[0].name into "listeners", "0]", "name"; the bracket
// that is left tells list items from keys.
func steps(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' })
}

// child finds one step below n; nil when it is not there.
func child(n *yaml.Node, step string) (*yaml.Node, int) {
	if index, ok := strings.CutSuffix(step, "]"); ok {
		i, err := strconv.Atoi(index)
		if err != nil || n.Kind != yaml.SequenceNode || i < 0 || i >= len(n.Content) {
			return nil, 0
		}
		return resolve(n.Content[i]), n.Content[i].Line
	}
	if n = alone(n); n.Kind != yaml.MappingNode {
		return nil, 0
	}
	for _, p := range pairs(n) {
		if p.key.Value == step {
			return p.value, p.key.Line
		}
	}
	return nil, 0
}
