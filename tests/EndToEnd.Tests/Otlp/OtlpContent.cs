namespace NetdumpCollector.EndToEnd.Tests.Otlp;

/// <summary>What happened within a span.</summary>
internal sealed record OtlpEvent(string Name, DateTimeOffset At, IReadOnlyDictionary<string, object> Attributes);

/// <summary>A span; ids in hexadecimal, the parent's empty for a root.</summary>
internal sealed record OtlpSpan(string Trace, string Id, string Parent, string Name, int Kind, DateTimeOffset From, DateTimeOffset To, IReadOnlyDictionary<string, object> Attributes,
    IReadOnlyList<OtlpEvent> Events, bool IsError, string StatusWords, IReadOnlyDictionary<string, object> Resource);

/// <summary>A log line.</summary>
internal sealed record OtlpLog(string Words, string Severity, string Trace, string Span, string Event, IReadOnlyDictionary<string, object> Attributes, IReadOnlyDictionary<string, object> Resource);

/// <summary>A point of a metric: a value, or the count of a histogram.</summary>
internal sealed record OtlpPoint(string Scope, string Name, string Unit, double Value, IReadOnlyDictionary<string, object> Attributes);

/// <summary>Reads what is exported.</summary>
/// <remarks>Source: github.com/open-telemetry/opentelemetry-proto, the messages' field numbers.</remarks>
internal static class OtlpContent
{
    public static IEnumerable<OtlpSpan> Spans(ProtoMessage request) =>
        from resource in request.All(1)
        let about = Attributes(resource.One(1), 1)
        from scope in resource.All(2)
        from span in scope.All(2)
        let status = span.One(15)
        select new OtlpSpan(span.Hex(1), span.Hex(2), span.Hex(4), span.Text(5), (int)span.Number(6), Time(span.Number(7)), Time(span.Number(8)), Attributes(span, 9),
            [.. span.All(11).Select(what => new OtlpEvent(what.Text(2), Time(what.Number(1)), Attributes(what, 3)))],
            status?.Number(3) == 2, status?.Text(2) ?? "", about);

    public static IEnumerable<OtlpLog> Logs(ProtoMessage request) =>
        from resource in request.All(1)
        let about = Attributes(resource.One(1), 1)
        from scope in resource.All(2)
        from log in scope.All(2)
        select new OtlpLog(Value(log.One(5)) as string ?? "", log.Text(3), log.Hex(9), log.Hex(10), log.Text(12), Attributes(log, 6), about);

    public static IEnumerable<OtlpPoint> Points(ProtoMessage request) =>
        from resource in request.All(1)
        from scope in resource.All(2)
        from metric in scope.All(2)
        from kind in (int[])[5, 7, 9]
        from shape in metric.All(kind)
        from point in shape.All(1)
        select kind == 9
            ? new OtlpPoint(scope.One(1)!.Text(1), metric.Text(1), metric.Text(3), point.Number(4), Attributes(point, 9))
            : new OtlpPoint(scope.One(1)!.Text(1), metric.Text(1), metric.Text(3), point.Has(4) ? point.Double(4) : (long)point.Number(6), Attributes(point, 7));

    private static Dictionary<string, object> Attributes(ProtoMessage? message, int number) =>
        message is null ? [] : message.All(number).ToDictionary(pair => pair.Text(1), pair => Value(pair.One(2)), StringComparer.Ordinal);

    private static object Value(ProtoMessage? value) => value switch
    {
        null => "",
        _ when value.Has(2) => value.Number(2) != 0,
        _ when value.Has(3) => (long)value.Number(3),
        _ when value.Has(4) => value.Double(4),
        _ => value.Text(1),
    };

    private static DateTimeOffset Time(ulong nanoseconds) => DateTimeOffset.UnixEpoch.AddTicks((long)(nanoseconds / 100));
}
