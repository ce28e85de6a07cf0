package outlier

import (
	"reflect"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/config"
)

// TestSettingsOf fills every field of the configuration with another number
// and looks for it in the settings, so that no field is forgotten or goes
// where another belongs.
func TestSettingsOf(t *testing.T) {
	var o config.OutlierDetection
	given := reflect.ValueOf(&o).Elem()
	for i := range given.NumField() {
		switch f := given.Field(i); f.Kind() {
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int64:
			f.SetInt(int64(i + 1))
		default:
			f.SetUint(uint64(i + 1))
		}
	}
	settings := reflect.ValueOf(SettingsOf(&o))
	for i := range given.NumField() {
		name := given.Type().Field(i).Name
		if name == "EarlyCloseWindow" || name == "FirstByteTimeout" {
			continue // for those who report
		}
		if got := settings.FieldByName(name); !got.IsValid() || !got.Equal(given.Field(i)) {
			t.Errorf("%s is %v in the settings, want %v", name, got, given.Field(i))
		}
	}
}

func TestDefaults(t *testing.T) {
	defaults := config.DefaultOutlierDetection()
	ours, envoy := reflect.ValueOf(SettingsOf(&defaults)), reflect.ValueOf(envoyDefaults())
	for i := range ours.NumField() {
		switch name := ours.Type().Field(i).Name; name {
		case "SplitExternalLocalOriginErrors", "Consecutive5xx", "EnforcingConsecutive5xx",
			"ConsecutiveGatewayFailure", "EnforcingSuccessRate":
			// What a relay of bytes does otherwise, and what it does not see.
		default:
			if !ours.Field(i).Equal(envoy.Field(i)) {
				t.Errorf("%s is %v by default, in Envoy %v", name, ours.Field(i), envoy.Field(i))
			}
		}
	}
}

type warningCase struct {
	name      string
	percent   uint32
	one       bool
	endpoints int
	want      string
}

func TestWarnings(t *testing.T) {
	for _, tc := range []warningCase{
		{"default, nine", 10, false, 9, "max_ejection_percent 10 lets none of 9 endpoint(s) be ejected: that takes 10 endpoints, or max_ejection_percent 12 or more, or always_eject_one_host"},
		{"default, ten", 10, false, 10, ""},
		{"one", 90, false, 1, "max_ejection_percent 90 lets none of 1 endpoint(s) be ejected: that takes 2 endpoints, or max_ejection_percent 100 or more, or always_eject_one_host"},
		{"a third of three", 33, false, 3, "max_ejection_percent 33 lets none of 3 endpoint(s) be ejected: that takes 4 endpoints, or max_ejection_percent 34 or more, or always_eject_one_host"},
		{"no matter what", 10, true, 1, ""},
		{"none", 0, false, 100, "max_ejection_percent 0 lets no endpoint be ejected, only counted: give it more, or set always_eject_one_host"},
		{"not known", 10, false, 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := Settings{MaxEjectionPercent: tc.percent, AlwaysEjectOneHost: tc.one}
			got := ""
			for _, w := range Warnings(s, tc.endpoints) {
				got += w
			}
			if got != tc.want {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
		})
	}
}

// TestWarningsAreTrue ejects, or does not, with every percentage.
func TestWarningsAreTrue(t *testing.T) {
	for percent := range uint32(101) {
		for n := 1; n <= 21; n++ {
			s := forTCP()
			s.MaxEjectionPercent = percent
			r := newRig(t, s, n, nil)
			r.report(0, LocalConnectFailed, 5)
			if warned, ejected := len(Warnings(s, n)) > 0, len(r.ejected()) > 0; warned == ejected {
				t.Errorf("%d%% of %d: ejected %v, warned %v", percent, n, ejected, warned)
			}
		}
	}
}

// envoyDefaults is Envoy's cluster.v3.OutlierDetection with nothing said.
func envoyDefaults() Settings {
	return Settings{
		Interval:                               10 * time.Second,
		BaseEjectionTime:                       30 * time.Second,
		MaxEjectionTime:                        300 * time.Second,
		MaxEjectionPercent:                     10,
		Consecutive5xx:                         5,
		EnforcingConsecutive5xx:                100,
		ConsecutiveGatewayFailure:              5,
		ConsecutiveLocalOriginFailure:          5,
		EnforcingConsecutiveLocalOriginFailure: 100,
		SuccessRateMinimumHosts:                5,
		SuccessRateRequestVolume:               100,
		SuccessRateStdevFactor:                 1900,
		EnforcingSuccessRate:                   100,
		EnforcingLocalOriginSuccessRate:        100,
		FailurePercentageThreshold:             85,
		FailurePercentageMinimumHosts:          5,
		FailurePercentageRequestVolume:         50,
		SuccessfulActiveHealthCheckUnejectHost: true,
	}
}
