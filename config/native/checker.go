package native

import (
	"strconv"

	yaml "go.yaml.in/yaml/v3"
)

// checker walks a document along the shape of the model. It collects every
// problem of form, and leaves out what is wrong, so that the rest can be
// decoded and validated in the same go.
type checker struct {
	file     string
	problems []Problem
	reported map[*yaml.Node]bool // aliased nodes are walked more than once
	unread   map[string]bool     // key paths whose value is left out, and lists with such items
}

func newChecker(file string) *checker {
	return &checker{file: file, reported: map[*yaml.Node]bool{}, unread: map[string]bool{}}
}

func (c *checker) add(n *yaml.Node, path, message string) {
	if c.reported[n] {
		return
	}
	c.reported[n] = true
	c.problems = append(c.problems, Problem{File: c.file, Line: n.Line, Path: path, Message: message})
}

// refuse reports a value that is left out.
func (c *checker) refuse(n *yaml.Node, path, message string) {
	c.add(n, path, message)
	c.unread[path] = true
}

// value returns n as maps, slices and scalars for viper, and whether there is
// anything to set.
func (c *checker) value(path string, n *yaml.Node, s *shape) (any, bool) {
	switch s.kind {
	case mapping:
		return c.mapping(path, n, s)
	case list:
		return c.list(path, n, s)
	}
	if n.Kind != yaml.ScalarNode {
		c.refuse(n, path, "must be "+wanted(s)+", not "+describe(n))
		return nil, false
	}
	value, err := plainScalar(s, n)
	if err != nil {
		c.refuse(n, path, err.Error())
		return nil, false
	}
	return value, true
}

// mapping returns an empty map for what is no mapping, so that the items of a
// list keep their numbers.
func (c *checker) mapping(path string, n *yaml.Node, s *shape) (map[string]any, bool) {
	values := make(map[string]any, len(n.Content)/2)
	if n.Kind != yaml.MappingNode {
		c.refuse(n, path, "must be a mapping (key: value), not "+describe(n))
		return values, true
	}
	c.mergeKeys(path, n)
	seen := make(map[string]int, len(n.Content)/2)
	for _, p := range pairs(n) {
		at := joinKey(path, p.key)
		if p.key.Kind != yaml.ScalarNode {
			c.add(p.key, path, "a key must be a word, not "+describe(p.key))
			continue
		}
		if line, ok := seen[p.key.Value]; ok {
			c.add(p.key, at, "is there twice, first in line "+strconv.Itoa(line)+": remove one")
			continue
		}
		seen[p.key.Value] = p.key.Line
		f := s.field(p.key.Value)
		if f == nil {
			c.add(p.key, at, unknownKey(s, p.key.Value))
			continue
		}
		if isNull(p.value) {
			continue
		}
		if value, ok := c.value(at, p.value, f.shape); ok {
			values[f.key] = value
		}
	}
	return values, true
}

// mergeKeys checks what << is given.
func (c *checker) mergeKeys(path string, n *yaml.Node) {
	first := 0
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], resolve(n.Content[i+1])
		if !isMerge(key) {
			continue
		}
		if first > 0 {
			c.add(key, joinKey(path, key), "is there twice, first in line "+strconv.Itoa(first)+": use one with a list, <<: [*a, *b]")
		}
		first = key.Line
		if value.Kind != yaml.MappingNode && len(mergeSources(value)) != len(value.Content) || value.Kind == yaml.ScalarNode {
			c.add(value, joinKey(path, key), "must be an alias of a mapping, or a list of them, not "+describe(value))
		}
	}
}

// list keeps the numbers of mappings. A list of scalars that misses one has
// others, so nothing more is said about it.
func (c *checker) list(path string, n *yaml.Node, s *shape) ([]any, bool) {
	if s.single && n.Kind == yaml.MappingNode {
		value, _ := c.mapping(path, n, s.elem)
		return []any{value}, true
	}
	if n.Kind != yaml.SequenceNode {
		form := "a list"
		if s.single {
			form = "a mapping (key: value) or a list of them"
		}
		c.refuse(n, path, "must be "+form+", not "+describe(n))
		return nil, false
	}
	values := make([]any, 0, len(n.Content))
	for i, item := range n.Content {
		value, ok := c.item(path+"["+strconv.Itoa(i)+"]", resolve(item), s.elem)
		if !ok {
			c.unread[path] = true
			continue
		}
		values = append(values, value)
	}
	return values, true
}

func (c *checker) item(path string, n *yaml.Node, s *shape) (any, bool) {
	if !isNull(n) {
		return c.value(path, n, s)
	}
	c.refuse(n, path, "is empty: remove the item or fill it in")
	return map[string]any{}, s.kind == mapping
}

// wanted names what a scalar's place asks for.
func wanted(s *shape) string {
	switch s.kind {
	case number:
		return "a whole number"
	case boolean:
		return "true or false"
	case duration:
		return "a duration (250ms, 5s)"
	case size:
		return "a size (4096, 64KiB)"
	case addrPort:
		return "IP:port"
	case addr:
		return "an IP address"
	case prefix:
		return "a prefix (10.4.0.0/16)"
	}
	return "a string"
}
