package native

import (
	"fmt"
	"net/netip"
	"reflect"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"

	"github.com/sluiceproxy/sluice/config"
)

// decode merges the file's values and the overrides through viper into a
// complete model. Values have passed the checker.
func decode(values map[string]any, overrides []setting) (*config.Config, error) {
	v := viper.New()
	if err := v.MergeConfigMap(values); err != nil {
		return nil, fmt.Errorf("merging the configuration: %w", err)
	}
	for _, o := range overrides {
		v.Set(o.key, o.value)
	}
	cfg := config.Default()
	if err := v.Unmarshal(&cfg, decoderOptions); err != nil {
		return nil, fmt.Errorf("decoding the configuration: %w", err)
	}
	return &cfg, nil
}

func decoderOptions(c *mapstructure.DecoderConfig) {
	c.WeaklyTypedInput = false
	c.DecodeHook = mapstructure.ComposeDecodeHookFunc(fillDefaults, parseScalars)
	c.MatchName = keyMatcher()
}

// keyMatcher compares a key with a field's name. mapstructure asks for each
// key of each mapping with each field, so names are turned into keys once.
func keyMatcher() func(key, field string) bool {
	keys := make(map[string]string)
	return func(key, field string) bool {
		want, ok := keys[field]
		if !ok {
			want = snake(field)
			keys[field] = want
		}
		return key == want
	}
}

// fillDefaults gives a list item or optional mapping its defaults before its
// own keys are decoded over them. What has a value already has it from the
// defaults of the mapping around it.
func fillDefaults(from, to reflect.Value) (any, error) {
	if from.Kind() == reflect.Map && to.CanSet() && to.IsZero() && to.Type() != reflect.TypeFor[config.Config]() {
		if d, ok := defaultOf(to.Type()); ok {
			to.Set(d)
		}
	}
	return from.Interface(), nil
}

// parseScalars reads durations and addresses.
func parseScalars(from, to reflect.Type, data any) (any, error) {
	if from.Kind() != reflect.String {
		return data, nil
	}
	switch to {
	case reflect.TypeFor[time.Duration](), reflect.TypeFor[config.Size](), reflect.TypeFor[netip.AddrPort](), reflect.TypeFor[config.HostPort](), reflect.TypeFor[netip.Addr](), reflect.TypeFor[netip.Prefix]():
		return parseText(shapeOf(to), data.(string))
	}
	return data, nil
}
