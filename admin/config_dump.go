package admin

import (
	"net/http"
	"time"
)

type jsonDump struct {
	VersionInfo string    `json:"version_info"`
	LastUpdated time.Time `json:"last_updated"`
	Config      any       `json:"config"`

	Error *jsonError `json:"error_state,omitempty"`
}

// jsonError is Envoy's admin.v3.UpdateFailureState.
type jsonError struct {
	At      time.Time `json:"last_update_attempt"`
	Details string    `json:"details"`
}

// configDump shows the running configuration, defaults filled in. The outer
// form is that of Envoy's ConfigDump.
func (a *api) configDump(w http.ResponseWriter, _ *http.Request) {
	dump := a.ConfigDump()
	shown := jsonDump{VersionInfo: dump.Version, LastUpdated: dump.LastUpdated.UTC(), Config: dump.Config}
	if r := dump.Rejected; r != nil {
		shown.Error = &jsonError{r.At.UTC(), r.Why}
	}
	writeJSON(w, map[string]any{"configs": []jsonDump{shown}})
}
