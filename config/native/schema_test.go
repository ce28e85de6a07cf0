package native

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"testing"

	yaml "go.yaml.in/yaml/v3"
)

func parsedSchema(t *testing.T) map[string]any {
	t.Helper()
	data, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

// asJSON reads a YAML file as a JSON reader would see it.
func asJSON(t *testing.T, data []byte) any {
	t.Helper()
	var value any
	if err := yaml.Unmarshal(data, &value); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// violations checks value against the parts of JSON Schema that Schema uses.
func violations(path string, schema map[string]any, value any) []string {
	name := map[bool]string{true: "integer", false: "number"}
	types := map[reflect.Kind]string{reflect.Map: "object", reflect.Slice: "array", reflect.String: "string", reflect.Bool: "boolean"}
	kind := "null"
	if f, ok := value.(float64); ok {
		kind = name[f == float64(int64(f))]
	} else if value != nil {
		kind = types[reflect.TypeOf(value).Kind()]
	}
	var found []string
	if !hasType(schema["type"], kind) {
		return []string{fmt.Sprintf("%s: %s, want %v", path, kind, schema["type"])}
	}
	if enum, ok := schema["enum"].([]any); ok && !slices.Contains(enum, value) {
		found = append(found, fmt.Sprintf("%s: %v is none of %v", path, value, enum))
	}
	switch v := value.(type) {
	case string:
		if p, ok := schema["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(v) {
			found = append(found, fmt.Sprintf("%s: %q does not match %s", path, v, p))
		}
	case float64:
		least, hasLeast := schema["minimum"].(float64)
		most, hasMost := schema["maximum"].(float64)
		if hasLeast && v < least || hasMost && v > most {
			found = append(found, fmt.Sprintf("%s: %v is out of range", path, v))
		}
	case []any:
		for i, item := range v {
			found = append(found, violations(fmt.Sprintf("%s[%d]", path, i), schema["items"].(map[string]any), item)...)
		}
	case map[string]any:
		found = append(found, objectViolations(path, schema, v)...)
	}
	return found
}

func objectViolations(path string, schema, value map[string]any) []string {
	var found []string
	required, _ := schema["required"].([]any)
	for _, key := range required {
		if _, ok := value[key.(string)]; !ok {
			found = append(found, fmt.Sprintf("%s: lacks %s", path, key))
		}
	}
	properties := schema["properties"].(map[string]any)
	for key, v := range value {
		property, ok := properties[key].(map[string]any)
		if !ok {
			if schema["additionalProperties"] == false {
				found = append(found, fmt.Sprintf("%s: unknown key %s", path, key))
			}
			continue
		}
		found = append(found, violations(path+"."+key, property, v)...)
	}
	return found
}

func hasType(types any, kind string) bool {
	if list, ok := types.([]any); ok {
		return slices.Contains(list, any(kind)) || kind == "integer" && slices.Contains(list, any("number"))
	}
	return types == kind
}

func TestGoodFilesFollowTheSchema(t *testing.T) {
	schema := parsedSchema(t)
	configs, err := filepath.Glob("../../configs/*.yaml")
	if err != nil || len(configs) < 5 {
		t.Fatalf("configs: %v, %v", configs, err)
	}
	for _, file := range append(configs, testFiles(t, "*.good.yml", 8)...) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			for _, v := range violations("", schema, asJSON(t, readTestFile(t, file))) {
				t.Error(v)
			}
			loaded, err := Load(file, Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range violations("", schema, asJSON(t, mustJSON(t, ToMap(loaded.Config)))) {
				t.Errorf("effective configuration: %s", v)
			}
		})
	}
}

func mustJSON(t *testing.T, value any) []byte {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestSchemaRefuses(t *testing.T) {
	schema := parsedSchema(t)
	for _, bad := range []string{
		"limts: {}", "concurrency: two", "concurrency: -1", "log: {level: loud}", "drain: {time: 45}", "drain: {time: soon}",
		"listeners: [{name: l}]", "listeners: {}", "clusters: [{name: a, upstream_port_override: 65536}]", "clusters: [~]",
		"clusters: [{name: a, endpoints: [{address: 10.0.0.1}]}]", "access_log: [{format: json}]",
	} {
		if len(violations("", schema, asJSON(t, []byte(bad)))) == 0 {
			t.Errorf("the schema accepts %s", bad)
		}
		if _, err := Parse("x", []byte(bad), Options{}); err == nil {
			t.Errorf("Parse accepts %s", bad)
		}
	}
}

// examples are keys with a default for which the reference shows another
// value, because one of its own is needed to be valid or clear.
var examples = []string{".listeners[].filter_chains[].name", ".listeners[].filter_chains[].tcp_proxy.cluster", ".clusters[].health_checks[].http.headers[].value"}

// compareReference walks the reference along the schema. It notes each key in
// seen, and compares the first value of each with its default.
func compareReference(t *testing.T, path string, schema map[string]any, value any, seen map[string]bool) {
	if d, ok := schema["default"]; ok && value != nil && !reflect.DeepEqual(d, value) && !seen[path] && !slices.Contains(examples, path) {
		t.Errorf("%s is %v, the default is %v", path, value, d)
	}
	seen[path] = true
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			compareReference(t, path+"[]", schema["items"].(map[string]any), item, seen)
		}
	case map[string]any:
		for key, item := range v {
			compareReference(t, path+"."+key, schema["properties"].(map[string]any)[key].(map[string]any), item, seen)
		}
	}
}

func schemaPaths(path string, schema map[string]any, visit func(string)) {
	visit(path)
	_, single := schema["properties"] // a list of one may be written without its brackets: shown once
	if items, ok := schema["items"].(map[string]any); ok && items["type"] == "object" && !single {
		schemaPaths(path+"[]", items, visit)
	}
	properties, _ := schema["properties"].(map[string]any)
	for key, property := range properties {
		schemaPaths(path+"."+key, property.(map[string]any), visit)
	}
}

func TestReferenceIsComplete(t *testing.T) {
	schema := parsedSchema(t)
	reference := asJSON(t, readTestFile(t, "../../configs/reference.yaml"))
	seen := make(map[string]bool)
	compareReference(t, "", schema, reference, seen)
	optional := regexp.MustCompile(`^\.app_health\.(ports\[\]\.)?check|^\.listeners\[\]\.(default_filter_chain\.|filter_chains\[\]\.access_log\[\])`)
	schemaPaths("", schema, func(path string) {
		if !seen[path] && !optional.MatchString(path) {
			t.Errorf("reference.yaml lacks %s", path)
		}
	})
}
