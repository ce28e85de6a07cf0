package native

import (
	"strings"

	yaml "go.yaml.in/yaml/v3"
)

// joinKey extends a key path. A key that would not read as one is quoted.
func joinKey(path string, key *yaml.Node) string {
	name := key.Value
	if key.Kind != yaml.ScalarNode || name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-<") != "" {
		name = quote(name)
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// unknownKey says what to write instead of a key that the shape has not.
func unknownKey(s *shape, key string) string {
	if instead, ok := later[s.typ.Name()][key]; ok {
		return "not supported yet: " + instead
	}
	if near := nearest(s, key); near != "" {
		return "unknown key, did you mean " + near + "?"
	}
	keys := make([]string, len(s.fields))
	for i, f := range s.fields {
		keys[i] = f.key
	}
	return "unknown key, allowed are " + strings.Join(keys, ", ")
}

// nearest is the key that a misspelt one most likely stands for, or "".
func nearest(s *shape, key string) string {
	const longest = 64 // no key of ours is; a distance costs the product of the lengths
	if len(key) > longest {
		return ""
	}
	folded := strings.ReplaceAll(strings.ToLower(key), "-", "_")
	if s.field(snake(key)) != nil {
		return snake(key) // camelCase, as in Envoy's JSON
	}
	best, bestDistance := "", 1+max(1, (len(key)+2)/3)
	for _, f := range s.fields {
		if d := distance(folded, f.key); d < bestDistance {
			best, bestDistance = f.key, d
		}
	}
	return best
}

// distance is Levenshtein's: how many letters to add, drop or change.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
