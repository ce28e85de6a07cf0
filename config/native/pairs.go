package native

import (
	yaml "go.yaml.in/yaml/v3"
)

// pair is one key of a mapping with its value; aliases are resolved.
type pair struct {
	key   *yaml.Node
	value *yaml.Node
}

// isMerge tells the merge key, https://yaml.org/type/merge.html.
func isMerge(n *yaml.Node) bool { return n.ShortTag() == "!!merge" }

// pairs are the keys that a mapping has itself (doubled ones included), then
// those that merge keys bring in and that it does not have itself. Merge
// values that are no mappings bring nothing.
func pairs(n *yaml.Node) []pair {
	own := make([]pair, 0, len(n.Content)/2)
	var merged []pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := resolve(n.Content[i]), resolve(n.Content[i+1])
		if !isMerge(key) {
			own = append(own, pair{key, value})
			continue
		}
		for _, source := range mergeSources(value) {
			merged = append(merged, pairs(source)...)
		}
	}
	if len(merged) == 0 {
		return own
	}
	return appendMissing(own, merged)
}

// appendMissing adds what merge keys bring in; of several sources the first
// wins.
func appendMissing(own, merged []pair) []pair {
	have := make(map[string]bool, len(own)+len(merged))
	for _, p := range own {
		have[p.key.Value] = true
	}
	for _, p := range merged {
		if !have[p.key.Value] {
			have[p.key.Value] = true
			own = append(own, p)
		}
	}
	return own
}

// mergeSources are the mappings that a merge key's value names: one, or a
// list of them.
func mergeSources(value *yaml.Node) []*yaml.Node {
	if value.Kind == yaml.MappingNode {
		return []*yaml.Node{value}
	}
	var sources []*yaml.Node
	if value.Kind == yaml.SequenceNode {
		for _, item := range value.Content {
			if item = resolve(item); item.Kind == yaml.MappingNode {
				sources = append(sources, item)
			}
		}
	}
	return sources
}
