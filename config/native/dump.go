package native

import (
	"bytes"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	yaml "go.yaml.in/yaml/v3"

	"github.com/sluiceproxy/sluice/config"
)

// Dump writes the effective configuration as YAML, every default filled in.
// Parse of the result gives an equal configuration.
func Dump(cfg *config.Config) ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(node(modelShape(), reflect.ValueOf(cfg).Elem())); err != nil {
		return nil, fmt.Errorf("writing the configuration as YAML: %w", err)
	}
	return out.Bytes(), nil
}

// ToMap is the effective configuration as maps, slices, strings, numbers and
// booleans with the keys of the YAML, for JSON.
func ToMap(cfg *config.Config) map[string]any {
	return plain(modelShape(), reflect.ValueOf(cfg).Elem()).(map[string]any)
}

// isAbsent tells values that have no YAML form: an optional mapping or address
// that is not there, and a list that differs from an empty one (a chain's
// access_log). Lists that Normalize makes nil are absent too; their default
// is the same.
func isAbsent(v reflect.Value) bool {
	if a, ok := v.Interface().(netip.AddrPort); ok {
		return !a.IsValid()
	}
	return (v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice) && v.IsNil()
}

func plain(s *shape, v reflect.Value) any {
	v = reflect.Indirect(v)
	switch s.kind {
	case mapping:
		m := make(map[string]any, len(s.fields))
		for _, f := range s.fields {
			if value := v.Field(f.index); !isAbsent(value) {
				m[f.key] = plain(f.shape, value)
			}
		}
		return m
	case list:
		items := make([]any, v.Len())
		for i := range items {
			items[i] = plain(s.elem, v.Index(i))
		}
		return items
	case boolean:
		return v.Bool()
	case decimal:
		return v.Float()
	case number:
		if v.CanUint() {
			return int64(v.Uint())
		}
		return v.Int()
	}
	return scalarText(v)
}

// node keeps the order of the model, which a map would lose.
func node(s *shape, v reflect.Value) *yaml.Node {
	v = reflect.Indirect(v)
	switch s.kind {
	case mapping:
		n := &yaml.Node{Kind: yaml.MappingNode}
		for _, f := range s.fields {
			if value := v.Field(f.index); !isAbsent(value) {
				n.Content = append(n.Content, stringNode(f.key), node(f.shape, value))
			}
		}
		return n
	case list:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for i := range v.Len() {
			n.Content = append(n.Content, node(s.elem, v.Index(i)))
		}
		return n
	case boolean:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(v.Bool())}
	case number:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: fmt.Sprint(v.Interface())}
	case decimal:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!float", Value: strconv.FormatFloat(v.Float(), 'f', -1, 64)}
	}
	return stringNode(scalarText(v))
}

func stringNode(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
}

// scalarText is what parseText reads back.
func scalarText(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case time.Duration:
		return durationText(value)
	case config.Size:
		return value.String()
	case netip.AddrPort:
		if value.IsValid() {
			return value.String()
		}
		return ""
	case netip.Addr:
		if value.IsValid() {
			return value.String()
		}
		return ""
	case netip.Prefix:
		return value.String()
	case config.HostPort:
		return value.String()
	}
	return v.String()
}

// durationText is time.Duration's own text without zeroes at its end: 1h, not
// 1h0m0s.
func durationText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
