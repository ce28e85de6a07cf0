// Package config is the one configuration model of sluice: what listeners,
// filter chains and clusters are to exist, whichever front door the
// configuration came through. Front doors (config/native for our own YAML)
// translate into a Config; nothing behind this package knows where it came
// from.
//
//	cfg := config.Default()       // every default filled in
//	... translate into cfg ...
//	problems := config.Validate(cfg)
package config
