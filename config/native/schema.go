package native

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"

	"github.com/sluiceproxy/sluice/config"
)

// Schema is the JSON Schema (draft 2020-12) of the configuration. It holds
// the form of what is accepted; references and combinations are checked by
// Parse alone. A key with nothing after it (null) stands for its default.
func Schema() ([]byte, error) {
	s := schemaOf(modelShape(), reflect.ValueOf(config.Default()))
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "sluice configuration"
	s["type"] = "object"
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the JSON Schema: %w", err)
	}
	return append(data, '\n'), nil
}

// schemaOf describes a shape; def is the value it has by default, invalid
// where there is none.
func schemaOf(s *shape, def reflect.Value) map[string]any {
	switch s.kind {
	case mapping:
		return mappingSchema(s, def)
	case list:
		itemDefault, _ := defaultOf(s.elem.typ)
		items := schemaOf(s.elem, itemDefault)
		items["type"] = onlyType(items["type"])
		if s.single {
			either := maps.Clone(items)
			either["type"], either["items"] = []string{"object", "array", "null"}, items
			return either
		}
		return map[string]any{"type": orNull("array"), "items": items}
	}
	return scalarSchema(s)
}

func mappingSchema(s *shape, def reflect.Value) map[string]any {
	if own, ok := defaultOf(s.typ); ok && (!def.IsValid() || def.IsZero()) {
		def = own
	}
	properties := make(map[string]any, len(s.fields))
	var required []string
	for _, f := range s.fields {
		value := def.Field(f.index)
		property := schemaOf(f.shape, value)
		property["description"] = f.note.doc
		if f.note.required {
			required = append(required, f.key)
			property["type"] = onlyType(property["type"])
		} else if f.shape.kind != mapping && !isAbsent(value) {
			property["default"] = plain(f.shape, value)
		}
		properties[f.key] = property
	}
	out := map[string]any{"type": orNull("object"), "properties": properties, "additionalProperties": false}
	if required != nil {
		out["required"] = required
	}
	return out
}

func scalarSchema(s *shape) map[string]any {
	switch s.kind {
	case boolean:
		return map[string]any{"type": orNull("boolean")}
	case number:
		// The model has no negative number; where Go's type would allow
		// one, Validate refuses it.
		return map[string]any{"type": orNull("integer"), "minimum": max(s.min, 0), "maximum": s.max}
	case decimal:
		return map[string]any{"type": orNull("number"), "minimum": 0}
	case choice:
		values := make([]any, 0, len(s.allowed)+1)
		for _, a := range s.allowed {
			values = append(values, a)
		}
		return map[string]any{"type": orNull("string"), "enum": append(values, nil)}
	case duration:
		// 0 needs no unit; the bounds hold for numbers, the pattern for strings.
		return map[string]any{"type": []string{"string", "integer", "null"}, "pattern": durationPattern, "minimum": 0, "maximum": 0}
	case size:
		return map[string]any{"type": []string{"string", "integer", "null"}, "pattern": `^[0-9]+ *([KMG]iB)?$`, "minimum": 0}
	case addrPort, hostPort:
		return map[string]any{"type": orNull("string"), "pattern": `:[0-9]+$`}
	case prefix:
		return map[string]any{"type": orNull("string"), "pattern": `/[0-9]+$`}
	}
	return map[string]any{"type": orNull("string")}
}

// durationPattern follows time.ParseDuration, without the signs.
const durationPattern = `^(0|([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`

func orNull(name string) []string { return []string{name, "null"} }

// onlyType takes null out of a type, for list items and required keys.
func onlyType(t any) any { return t.([]string)[0] }
