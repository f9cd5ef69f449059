using System.Text;
using Microsoft.AspNetCore.Components;
using NetdumpCollector.Collector.Pages;

namespace NetdumpCollector.Collector.Tests.Pages;

/// <summary>Components as the server renders them, and things to show in them.</summary>
internal static class Rendering
{
    public static readonly DateTimeOffset Now = new(2026, 11, 21, 12, 0, 0, TimeSpan.Zero);

    public static async Task<string> OfAsync<TComponent>(params (string Name, object? Value)[] parameters) where TComponent : IComponent =>
        Encoding.UTF8.GetString((await PageRenderer.RenderAsync<TComponent>(200, parameters.ToDictionary(one => one.Name, one => one.Value))).Html);

    public static SessionView Session(string client = "10.0.0.1") => new()
    {
        Key = client,
        Client = client,
        Host = null,
        Phase = "receiving",
        StartedAt = Now.AddMinutes(-1),
        SilentSeconds = 0.1,
        Bytes = 50 << 20,
        TotalBytes = null,
        ExpectedBytes = null,
        BytesPerSecond = 1 << 20,
        Error = null,
    };

    public static DumpView Dump(string host, string? panic, double minutesAgo = 1, string status = "complete") =>
        new($"id-{host}-{minutesAgo}", host, "10.0.0.1", Now.AddMinutes(-minutesAgo), 1 << 20, status, panic, panic is null ? null : Protocol.Storm.PanicSignature.Of(panic), $"vmcore.{host}.0", false);

    public static CollectorView Collector(string? obstacle = null, params SessionView[] sessions) =>
        new("netdump-collector 1.2.3", "crashbox", "/var/crash", Now.AddHours(-3), Now, obstacle, SessionsView.Of(sessions));

    public static DumpsView Dumps(params DumpView[] dumps) => new(dumps, PanicGroup.Of(dumps), null, Now, null);
}
