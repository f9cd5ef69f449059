using System.Runtime.InteropServices;

namespace NetdumpCollector.Protocol.Minidump;

/// <summary>Decodes zstd in pieces, with the system's libzstd where there is one; .NET 10 has no decoder of its own.</summary>
/// <remarks>Source: zstd.h of libzstd 1.4 and later, whose streaming interface is stable.</remarks>
public sealed unsafe class ZstdDecoder : StreamDecoder
{
    // ZSTD_d_windowLogMax, and the window of the kernel's levels up to 19. The window is memory that a stream makes this process reserve.
    private const int WindowLogMaxParameter = 100;
    private const int WindowLogMax = 23;

    private static readonly Library? s_library = Library.Load();

    private readonly Library _library;
    private readonly Context _context;
    private Buffer _input;

    private ZstdDecoder(Library library, Context context)
    {
        _library = library;
        _context = context;
    }

    /// <summary>The system has a library.</summary>
    public static bool IsAvailable => s_library is not null;

    /// <summary>A decoder, or null where the system has no library or no memory.</summary>
    public static ZstdDecoder? Create()
    {
        if (s_library is not Library library)
            return null;

        var context = new Context(library);
        if (!context.IsInvalid && library.IsError(library.SetParameter(context.DangerousGetHandle(), WindowLogMaxParameter, WindowLogMax)) == 0)
            return new(library, context);
        context.Dispose();
        return null;
    }

    public override void Supply(byte* bytes, int count) => _input = new() { Bytes = bytes, Size = (nuint)count };

    public override int Read(Span<byte> destination)
    {
        fixed (byte* bytes = destination)
        {
            var output = new Buffer { Bytes = bytes, Size = (nuint)destination.Length };
            // A call that ends a frame may return with nothing written and input left.
            nuint before;
            do
            {
                before = _input.Position;
                fixed (Buffer* input = &_input)
                {
                    if (_library.IsError(_library.Decompress(_context.DangerousGetHandle(), &output, input)) != 0)
                        throw new InvalidDataException("not a zstd stream");
                }
            }
            while (output.Position == 0 && _input.Position > before && _input.Position < _input.Size);
            GC.KeepAlive(_context);
            return (int)output.Position;
        }
    }

    public override long MemoryBytes => (long)_library.SizeOf(_context.DangerousGetHandle());

    public override void Dispose() => _context.Dispose();

    /// <summary>ZSTD_inBuffer and ZSTD_outBuffer.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Buffer
    {
        public byte* Bytes;
        public nuint Size;
        public nuint Position;
    }

    /// <summary>A ZSTD_DCtx.</summary>
    private sealed class Context : SafeHandle
    {
        private readonly Library _library;

        public Context(Library library) : base(0, ownsHandle: true)
        {
            _library = library;
            SetHandle(library.CreateContext());
        }

        public override bool IsInvalid => handle == 0;

        protected override bool ReleaseHandle()
        {
            _library.FreeContext(handle);
            return true;
        }
    }

    private sealed class Library
    {
        public readonly delegate* unmanaged<nint> CreateContext;
        public readonly delegate* unmanaged<nint, nuint> FreeContext;
        public readonly delegate* unmanaged<nint, int, int, nuint> SetParameter;
        public readonly delegate* unmanaged<nint, Buffer*, Buffer*, nuint> Decompress;
        public readonly delegate* unmanaged<nint, nuint> SizeOf;
        public readonly delegate* unmanaged<nuint, uint> IsError;

        private Library(nint library)
        {
            CreateContext = (delegate* unmanaged<nint>)NativeLibrary.GetExport(library, "ZSTD_createDCtx");
            FreeContext = (delegate* unmanaged<nint, nuint>)NativeLibrary.GetExport(library, "ZSTD_freeDCtx");
            SetParameter = (delegate* unmanaged<nint, int, int, nuint>)NativeLibrary.GetExport(library, "ZSTD_DCtx_setParameter");
            Decompress = (delegate* unmanaged<nint, Buffer*, Buffer*, nuint>)NativeLibrary.GetExport(library, "ZSTD_decompressStream");
            SizeOf = (delegate* unmanaged<nint, nuint>)NativeLibrary.GetExport(library, "ZSTD_sizeof_DCtx");
            IsError = (delegate* unmanaged<nuint, uint>)NativeLibrary.GetExport(library, "ZSTD_isError");
        }

        /// <summary>Null where the system has no library, or one too old.</summary>
        public static Library? Load()
        {
            foreach (string name in (ReadOnlySpan<string>)["libzstd.so.1", "libzstd.so", "libzstd.1.dylib", "libzstd.dll"])
            {
                if (!NativeLibrary.TryLoad(name, out nint library))
                    continue;
                try
                {
                    return new(library);
                }
                catch (EntryPointNotFoundException)
                {
                    NativeLibrary.Free(library);
                }
            }

            return null;
        }
    }
}
