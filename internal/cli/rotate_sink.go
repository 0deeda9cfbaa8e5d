package cli

import (
	"slices"

	"github.com/credsmith/credsmith/internal/config"
	"github.com/credsmith/credsmith/internal/sink"
	"github.com/credsmith/credsmith/internal/sink/file"
)

// sink makes the adapter of a place that the configuration names.
func (r *rotations) sink(s config.Sink) (sink.Sink, error) {
	formats := file.Formats()
	if !slices.Contains(formats, file.Format(s.Kind)) {
		names := make([]string, len(formats))
		for i, f := range formats {
			names[i] = string(f)
		}
		return nil, usage("docs/rotate.md lists the sinks", "%w", config.Unknown(s.At, "sink", s.Kind, names))
	}
	var c file.Config
	if err := s.Decode(&c); err != nil {
		return nil, usage("docs/rotate.md says what the sink takes", "%w", err)
	}
	built, err := file.New(file.Format(s.Kind), c)
	if err != nil {
		return nil, usage("docs/rotate.md says what the sink takes", "%s: the sink %s: %w", s.At, s.Kind, err)
	}
	return built, nil
}
