package native

import (
	yaml "go.yaml.in/yaml/v3"
)

// maxAliased bounds how many nodes aliases may add to those that are written
// out, so that a few lines of nested aliases cannot take all memory.
const maxAliased = 1_000_000

// expansion counts the nodes of a tree with every alias written out.
type expansion struct {
	sizes   map[*yaml.Node]int // of anchored nodes that are done
	open    map[*yaml.Node]bool
	aliased int
	cycle   bool
}

// checkExpansion refuses trees that contain themselves, and trees that grow
// beyond measure when their aliases are written out. What passes can be
// walked without further care.
func checkExpansion(name string, root *yaml.Node) *Problem {
	e := expansion{sizes: map[*yaml.Node]int{}, open: map[*yaml.Node]bool{}}
	e.size(root)
	switch {
	case e.cycle:
		return &Problem{File: name, Line: root.Line, Message: "an anchor contains an alias of itself"}
	case e.aliased > maxAliased:
		return &Problem{File: name, Line: root.Line, Message: "the aliases stand for too much: written out they are more than a million values"}
	}
	return nil
}

func (e *expansion) size(n *yaml.Node) int {
	if n.Kind == yaml.AliasNode {
		size, done := e.sizes[n.Alias]
		if !done {
			size = e.size(n.Alias)
		}
		e.aliased = min(e.aliased+size, maxAliased+1)
		return size
	}
	if e.open[n] {
		e.cycle = true
		return 0
	}
	if n.Anchor != "" {
		e.open[n] = true
		defer delete(e.open, n)
	}
	size := 1
	for _, child := range n.Content {
		size = min(size+e.size(child), 2*maxAliased)
	}
	if n.Anchor != "" {
		e.sizes[n] = size
	}
	return size
}
