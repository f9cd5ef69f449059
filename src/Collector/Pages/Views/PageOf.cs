using System.Globalization;
using Microsoft.AspNetCore.Http;

namespace NetdumpCollector.Collector.Pages;

/// <summary>A part of a long list.</summary>
/// <param name="Rows">What is on it.</param>
/// <param name="Number">Which part it is, from 1 on.</param>
/// <param name="Pages">How many there are, at least 1.</param>
/// <param name="Total">Rows on all of them.</param>
public sealed record PageOf<T>(IReadOnlyList<T> Rows, int Number, int Pages, int Total);

/// <summary>Cuts long lists.</summary>
internal static class PageOf
{
    public const string Field = "page";

    /// <summary>Page <paramref name="number"/> of a list; the last one where that is beyond its end.</summary>
    public static PageOf<T> Of<T>(IReadOnlyList<T> all, int number, int size)
    {
        int pages = Math.Max(1, (all.Count + size - 1) / size);
        number = Math.Clamp(number, 1, pages);
        return new([.. all.Skip((number - 1) * size).Take(size)], number, pages, all.Count);
    }

    /// <summary>The number that a request asks for, the first unless it is one.</summary>
    public static int NumberOf(IQueryCollection query) =>
        int.TryParse(query[Field].ToString(), NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : 1;
}
