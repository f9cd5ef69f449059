namespace NetdumpCollector.Collector.Otlp;

/// <summary>Which signals OpenTelemetry's own environment variables want to be exported.</summary>
/// <remarks>
/// None without them. Everything else that they say (protocol, headers, time-outs, sampler, resource, queues) is read by OpenTelemetry's library; these few are read here, because the library looks at them late or not at all
/// and is not even loaded while everything is off.
/// Source: opentelemetry.io, "Environment Variable Specification", "OTLP Exporter Configuration".
/// </remarks>
internal readonly record struct OtlpSignals(bool Traces, bool Metrics, bool Logs)
{
    private const string Endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";

    public bool IsNone => !Traces && !Metrics && !Logs;

    /// <param name="environment">All environment variables.</param>
    public static OtlpSignals Of(IReadOnlyDictionary<string, string> environment) =>
        string.Equals(ValueOf(environment, "OTEL_SDK_DISABLED"), "true", StringComparison.OrdinalIgnoreCase)
            ? default
            : new(IsOn(environment, "TRACES"), IsOn(environment, "METRICS"), IsOn(environment, "LOGS"));

    /// <summary>A signal is exported where its exporter is called so, or where none is named and there is an endpoint for it.</summary>
    private static bool IsOn(IReadOnlyDictionary<string, string> environment, string signal) =>
        ValueOf(environment, $"OTEL_{signal}_EXPORTER") is { } exporters
            ? exporters.Split(',', StringSplitOptions.TrimEntries).Contains("otlp", StringComparer.OrdinalIgnoreCase)
            : (ValueOf(environment, Endpoint) ?? ValueOf(environment, $"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")) is not null;

    /// <summary>A variable that is empty counts as not set.</summary>
    private static string? ValueOf(IReadOnlyDictionary<string, string> environment, string name) =>
        environment.TryGetValue(name, out string? value) && value.Trim() is { Length: > 0 } text ? text : null;
}
