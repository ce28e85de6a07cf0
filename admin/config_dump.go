package admin

import (
	"net/http"
	"time"
)

type jsonDump struct {
	VersionInfo string    `json:"version_info"`
	LastUpdated time.Time `json:"last_updated"`
	Config      any       `json:"config"`
}

// configDump shows the running configuration, defaults filled in. The outer
// form is that of Envoy's ConfigDump.
func (a *api) configDump(w http.ResponseWriter, _ *http.Request) {
	dump := a.ConfigDump()
	writeJSON(w, map[string]any{"configs": []jsonDump{{dump.Version, dump.LastUpdated.UTC(), dump.Config}}})
}
